//! What a newer version says beyond what this one knows: one more field at the end of whatever travels as opaque bytes.

use argosy_core::desired::DesiredList;

/// CBOR of a short text.
const UNHEARD_OF: &[u8] = &[0x64, b'n', b'e', b'w', b'!'];

/// Fields of an assignment, of a list's settings and of a status that this version knows.
const ASSIGNMENT: u8 = 10;
const SETTINGS: u8 = 2;
pub(super) const STATUS: u8 = 15;

/// Adds a field to a CBOR array whose type has so many; those at the end that are absent are written as null then.
pub(super) fn widen(bytes: &mut Vec<u8>, fields: u8) {
    let Some(head) = bytes.first_mut().filter(|head| (0x80..=0x80 + fields).contains(*head)) else { return };
    let absent = 0x80 + fields - *head;
    *head = 0x80 + fields + 1;
    bytes.extend(std::iter::repeat_n(0xf6, usize::from(absent)));
    bytes.extend_from_slice(UNHEARD_OF);
}

/// Gives a list as a newer hub would write it; absent if that is no list any more.
pub(super) fn widened(list: &DesiredList) -> Option<DesiredList> {
    let wide = |bytes: &[u8], fields| {
        let mut bytes = bytes.to_vec();
        widen(&mut bytes, fields);
        bytes
    };
    let elements = list.elements().values().map(|element| wide(&element.bytes, ASSIGNMENT));
    DesiredList::from_parts(wide(list.settings_bytes(), SETTINGS), elements).ok()
}
