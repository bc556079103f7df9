//! Instants on the command line.

use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::domain::Instant;

/// RFC 3339.
pub fn instant(text: &str) -> Result<Instant, String> {
    match text.parse::<Timestamp>() {
        Ok(at) => Ok(Instant::from_micros(at.as_microsecond())),
        Err(_) => Err("must be an RFC 3339 instant, for example 2026-01-31T12:00:00Z".to_owned()),
    }
}

/// An instant, or how long ago it was.
pub fn since(text: &str) -> Result<Instant, String> {
    instant(text).or_else(|_| {
        let ago = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
        let at = ago.and_then(|ago| Timestamp::now().checked_sub(ago.abs()));
        at.map(|at| Instant::from_micros(at.as_microsecond())).map_err(|_| {
            "must be an RFC 3339 instant, for example 2026-01-31T12:00:00Z, or how long ago: 24h, 7d, 90min".to_owned()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_named_or_how_long_ago_it_was() {
        let named = Instant::from_millis(1_700_000_000_250);
        assert_eq!(instant("2023-11-14T22:13:20.25Z"), Ok(named));
        assert_eq!(since("2023-11-14T23:13:20.25+01:00"), Ok(named));
        for (ago, minutes) in [("24h", 1440), ("7d", 7 * 1440), ("90min", 90), ("1h30m", 90)] {
            let now = Instant::from_micros(Timestamp::now().as_microsecond());
            let earliest = now.saturating_add_seconds(-60 * minutes);
            let at = since(ago).expect(ago);
            assert!(at >= earliest && at <= earliest.saturating_add_seconds(60), "{ago}: {at} is not {earliest}");
        }
        for wrong in ["yesterday", "24", "1 month", ""] {
            assert!(since(wrong).is_err_and(|problem| problem.contains("24h")), "{wrong}");
        }
        assert!(instant("24h").is_err());
    }
}
