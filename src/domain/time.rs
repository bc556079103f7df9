//! Time as a value. Nothing here reads a clock.

use std::fmt;

use jiff::civil::{Date, DateTime, datetime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
