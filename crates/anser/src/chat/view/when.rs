//! Times as people read them, in the zone of this machine.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::chat::words::Words;

/// The day of a time.
pub fn day(at_ms: u64, zone: &TimeZone) -> Date {
    at(at_ms).to_zoned(zone.clone()).date()
}

/// Whether a day has ended between two times.
pub fn is_another_day(before_ms: u64, now_ms: u64, zone: &TimeZone) -> bool {
    day(before_ms, zone) != day(now_ms, zone)
}

/// Hour and minute.
pub fn clock(at_ms: u64, zone: &TimeZone) -> String {
    at(at_ms).to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// What a list shows: the time of today, else the day.
pub fn short(at_ms: u64, now_ms: u64, zone: &TimeZone, words: &Words) -> String {
    if day(at_ms, zone) == day(now_ms, zone) {
        clock(at_ms, zone)
    } else {
        named_day(at_ms, now_ms, zone, words)
    }
}

/// Day and time.
pub fn full(at_ms: u64, now_ms: u64, zone: &TimeZone, words: &Words) -> String {
    format!("{} {}", named_day(at_ms, now_ms, zone, words), clock(at_ms, zone))
}

/// What a separator between days shows.
pub fn named_day(at_ms: u64, now_ms: u64, zone: &TimeZone, words: &Words) -> String {
    let (then, today) = (day(at_ms, zone), day(now_ms, zone));
    if then == today {
        return words.today.to_owned();
    }
    if today.yesterday().is_ok_and(|yesterday| yesterday == then) {
        return words.yesterday.to_owned();
    }
    let form = if then.year() == today.year() { "%m-%d" } else { "%Y-%m-%d" };
    then.strftime(form).to_string()
}

fn at(at_ms: u64) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(at_ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}
