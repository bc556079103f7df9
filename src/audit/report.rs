//! What an audit found, line by line.

use std::fmt;

/// How many faults of one check are named; the rest is counted.
pub const SHOWN: usize = 20;

#[derive(Debug, Default)]
pub struct AuditReport {
    pub checks: Vec<Check>,
    /// What was not judged, and why.
    pub left_out: &'static [&'static str],
}

/// One thing that must hold, and where it does not.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    /// What holds when there is no fault.
    pub sentence: &'static str,
    /// What is counted, for readers: records, accounts, ...
    pub things: &'static str,
    pub examined: u64,
    /// The first of them.
    pub faults: Vec<String>,
    pub fault_count: u64,
    /// Worth knowing, and no fault.
    pub notes: Vec<String>,
}

impl AuditReport {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
}

impl Check {
    pub fn new(name: &'static str, sentence: &'static str, things: &'static str) -> Check {
        Check { name, sentence, things, examined: 0, faults: Vec::new(), fault_count: 0, notes: Vec::new() }
    }

    pub fn holds(&self) -> bool {
        self.fault_count == 0
    }

    /// Notes a fault. The sentence is made only while it would still be shown.
    pub fn fault(&mut self, sentence: impl FnOnce() -> String) {
        self.fault_count += 1;
        if self.faults.len() < SHOWN {
            self.faults.push(sentence());
        }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| check.fmt(f))?;
        self.left_out.iter().try_for_each(|what| writeln!(f, "not  {what}"))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "ok" } else { "FAIL" };
        write!(f, "{word:<4} {:<72} {:>12} {}", self.sentence, grouped(self.examined), self.things)?;
        match self.fault_count {
            0 => writeln!(f)?,
            1 => writeln!(f, ", 1 fault")?,
            count => writeln!(f, ", {} faults", grouped(count))?,
        }
        for fault in &self.faults {
            writeln!(f, "       {fault}")?;
        }
        let unnamed = self.fault_count.saturating_sub(self.faults.len() as u64);
        if unnamed > 0 {
            writeln!(f, "       and {} more", grouped(unnamed))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "       note: {note}"))
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_prints_as_one_line_and_its_faults_below() {
        let mut check = Check::new("offsets", "every offset below the frontier is answered", "offsets");
        check.examined = 214_331;
        assert!(check.to_string().starts_with("ok   every offset below the frontier is answered "));
        assert!(check.to_string().ends_with(" 214,331 offsets\n"));
        for offset in 0..25 {
            check.fault(|| format!("credit/0/{offset} has no answer"));
        }
        let text = AuditReport { checks: vec![check], left_out: &["the rest: it was not read"] }.to_string();
        assert!(text.starts_with("FAIL every offset"), "{text}");
        assert!(text.contains("214,331 offsets, 25 faults\n       credit/0/0 has no answer\n"), "{text}");
        assert!(
            text.ends_with("credit/0/19 has no answer\n       and 5 more\nnot  the rest: it was not read\n"),
            "{text}"
        );
    }
}
