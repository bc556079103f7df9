//! What demo and benchmark need around the load: an installation of their own on the running stack, and worker processes that never
//! outlive them.

#![allow(dead_code)] // each of the two uses another part

pub mod database;
pub mod installation;
pub mod processes;

/// What went wrong, in a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A count as people read it: 1,234,567.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
