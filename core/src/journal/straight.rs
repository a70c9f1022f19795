//! Times of rows that were dated by a clock that jumped.
//!
//! Rows follow each other, so their times never go back. Where they do, some were dated while the hub's clock was wrong:
//! years ahead, or years behind. Those that are in order with the most others are believed.

use super::keeper::Numbered;

/// Gives every row whose time cannot be believed the time of the last one before it that can, or of the first one after.
pub(super) fn straighten(rows: &mut [Numbered]) {
    let times: Vec<i64> = rows.iter().map(|row| row.kept.at.0).collect();
    if times.is_sorted() {
        return;
    }
    let mut believed = longest_in_order(&times).into_iter().peekable();
    let mut time = believed.peek().and_then(|index| times.get(*index)).copied();
    for (index, row) in rows.iter_mut().enumerate() {
        if believed.next_if_eq(&index).is_some() {
            time = Some(row.kept.at.0);
        } else if let Some(time) = time {
            row.kept.at.0 = time;
            row.kept.exact = false;
        }
    }
}

/// Gives the places of a longest part that never goes back, in order.
fn longest_in_order(times: &[i64]) -> Vec<usize> {
    // Of each length, the place that the part with the smallest end ends at.
    let mut ends: Vec<(i64, usize)> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(times.len());
    for (place, time) in times.iter().enumerate() {
        let length = ends.partition_point(|(end, _)| end <= time);
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter)).map(|(_, place)| *place));
        ends.truncate(ends.len().max(length));
        match ends.get_mut(length) {
            Some(end) => *end = (*time, place),
            None => ends.push((*time, place)),
        }
    }
    let mut places: Vec<usize> = std::iter::successors(ends.last().map(|(_, place)| *place), |place| {
        before.get(*place).copied().flatten()
    })
    .collect();
    places.reverse();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_in_order_with_the_most_others_is_found() {
        assert!(longest_in_order(&[]).is_empty());
        assert_eq!(longest_in_order(&[5]), [0]);
        assert_eq!(longest_in_order(&[1, 2, 2, 3]), [0, 1, 2, 3]);
        assert_eq!(longest_in_order(&[1, 900, 901, 2, 3, 4]), [0, 3, 4, 5], "a clock that was ahead");
        assert_eq!(longest_in_order(&[500, 501, 0, 502, 503]), [0, 1, 3, 4], "a clock that was behind");
    }
}
