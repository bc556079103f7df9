//! Time as a value. Nothing here reads a clock.

use std::fmt;

use jiff::civil::{Date, DateTime, datetime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Instant(i64);

impl Instant {
    /// Before every business time; in Postgres `-infinity`.
    pub const BEGINNING: Instant = Instant(i64::MIN);
    pub const EPOCH: Instant = Instant(0);
    /// The range of instants that a command may name: the years 1900 to 9999, which Postgres, Avro and RFC 3339 all hold.
    pub const EARLIEST: Instant = Instant(-2_208_988_800_000_000);
    pub const LATEST: Instant = Instant(253_402_300_799_999_999);

    pub fn from_micros(micros: i64) -> Instant {
        Instant(micros)
    }

    pub fn from_millis(millis: i64) -> Instant {
        Instant(millis.saturating_mul(1000))
    }

    pub fn micros(self) -> i64 {
        self.0
    }

    pub fn is_representable(self) -> bool {
        (Instant::EARLIEST..=Instant::LATEST).contains(&self)
    }

    pub fn saturating_add_seconds(self, seconds: i64) -> Instant {
        Instant(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// An instant as RFC 3339 writes it, and in no other way: a date, `T`, a time to the second with any fraction, and `Z` or an offset of
    /// hours and minutes. A fraction beyond the microsecond is cut. `None` outside the range too.
    pub fn from_rfc3339(text: &str) -> Option<Instant> {
        Instant::written_as_rfc3339(text).filter(|instant| instant.is_representable())
    }

    /// The same, also where a command may not name it.
    pub fn written_as_rfc3339(text: &str) -> Option<Instant> {
        let bytes = text.as_bytes();
        let is_shape = |shape: &[u8], at: usize| {
            bytes.get(at..at + shape.len()).is_some_and(|part| {
                part.iter()
                    .zip(shape)
                    .all(|(byte, shape)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape })
            })
        };
        let is_separated = matches!(bytes.get(10), Some(b'T' | b't'));
        if !is_shape(b"0000-00-00", 0) || !is_separated || !is_shape(b"00:00:00", 11) {
            return None;
        }
        let fraction = match bytes.get(19) {
            Some(b'.') => bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ => 0,
        };
        let end = if bytes.get(19) == Some(&b'.') { 20 + fraction } else { 19 };
        if end == 20 {
            return None;
        }
        let offset_minutes = match &bytes[end..] {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 && is_shape(b"00:00", end + 1) => {
                let number = |at: usize| i64::from(bytes[at] - b'0') * 10 + i64::from(bytes[at + 1] - b'0');
                let (hours, minutes) = (number(end + 1), number(end + 4));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let digits = fraction.min(6);
        let local: DateTime = format!("{}T{}", &text[..10], &text[11..19]).parse().ok()?;
        let micros = text
            .get(20..20 + digits)
            .filter(|_| digits > 0)
            .map_or(Some(0), |part| part.parse::<i64>().ok().map(|number| number * 10_i64.pow(6 - digits as u32)))?;
        let since_epoch = i64::try_from(local.duration_since(UTC_EPOCH).as_micros()).ok()?;
        Some(Instant(since_epoch + micros - offset_minutes * 60 * 1_000_000))
    }

    /// The last local date on which what ends here can still be used: ends are exclusive.
    pub fn last_local_date(self, zone: &TimeZone) -> Option<Date> {
        let last = self.0.checked_sub(1)?;
        match Timestamp::from_microsecond(last) {
            Ok(at) => Some(at.to_zoned(zone.clone()).date()),
            // The last two days that the calendar has, where no zone's date is computed: UTC's.
            Err(_) => UTC_EPOCH.checked_add(SignedDuration::from_micros(last)).ok().map(DateTime::date),
        }
    }

    /// The first instant after the local day that lies `days` after this instant's local day. Where the day has no midnight (a gap of
    /// daylight saving), it ends at the first instant that exists. Saturates at the latest instant.
    pub fn end_of_local_day_after(self, days: u16, zone: &TimeZone) -> Instant {
        Timestamp::from_microsecond(self.0)
            .ok()
            .and_then(|at| at.to_zoned(zone.clone()).date().checked_add((i32::from(days) + 1).days()).ok())
            .and_then(|day_after| day_after.to_zoned(zone.clone()).ok())
            .map_or(Instant::LATEST, |zoned| Instant(zoned.timestamp().as_microsecond()))
    }

    /// The UTC date.
    pub fn utc_date(self) -> Date {
        Timestamp::from_microsecond(self.0).map_or(Date::MIN, |at| at.to_zoned(TimeZone::UTC).date())
    }
}

/// Instants are shown by the calendar: the range of `Timestamp` ends a day before the year 9999 does, and `Instant::LATEST` with it.
const UTC_EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);

/// As RFC 3339.
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UTC_EPOCH.checked_add(SignedDuration::from_micros(self.0)) {
            Ok(at) => write!(f, "{at}Z"),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_rfc_3339_writes_them() {
        let right = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:01.5z", 1_500_000),
            ("1970-01-01T01:00:00.0000009+01:00", 0),
            ("1969-12-31T19:00:00-05:00", 0),
            ("9999-12-31T23:59:59.999999Z", Instant::LATEST.micros()),
            ("1900-01-01T00:00:00Z", Instant::EARLIEST.micros()),
        ];
        for (text, micros) in right {
            assert_eq!(Instant::from_rfc3339(text), Some(Instant::from_micros(micros)), "{text}");
        }
        for wrong in [
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T00:00:00+01:60",
            "1970-01-01T00:00:00.Z",
            "1970-02-30T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1899-12-31T23:59:59Z",
            "9999-12-31T23:59:59-00:01",
            "1970-01-01T00:00:00Z[UTC]",
            "197-01-01T00:00:00Z",
            "１970-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(Instant::from_rfc3339(wrong), None, "{wrong}");
        }
        assert_eq!(Instant::from_rfc3339(&Instant::LATEST.to_string()), Some(Instant::LATEST));
    }

    #[test]
    fn an_end_is_told_as_the_last_day() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let end = Instant::from_rfc3339("2026-01-31T23:00:00Z").expect("an instant");
        assert_eq!(end.last_local_date(&berlin).map(|date| date.to_string()).as_deref(), Some("2026-01-31"));
        let last = Instant::LATEST.last_local_date(&berlin);
        assert_eq!(last.map(|date| date.to_string()).as_deref(), Some("9999-12-31"));
    }
}
