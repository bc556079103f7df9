//! A customer's tier and stamp cards.
//!
//! A card's code names the customer and the card: the customer's id in Crockford's base 32 (https://www.crockford.com/base32.html), then the
//! card's place among the customer's. So a code that is scanned leads to its customer without an index, and two never clash. Ids are half
//! a SHA-256, so nobody can guess a code.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::values::ids::{CustomerId, parse_customer_id};
use crate::domain::values::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerTier {
    pub tier_id: String,
    /// Lane time.
    pub since: Instant,
    /// Somebody assigned it.
    pub is_manual: bool,
}

/// A stamp card that a customer has; its place among the customer's is in the card's code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    pub card_id: String,
    /// Lane time.
    pub enrolled_at: Instant,
}

/// Without I, L, O and U, which are misread.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of five bits that 128 bits take.
const ID_DIGITS: usize = 26;
const PLACE_DIGITS: usize = 2;
/// So many cards a merchant may have, and so a customer: a state lists them all, with their rewards and links, and must stay a record that
/// brokers take.
pub const MAX_CARDS: usize = 24;
const _: () = assert!(MAX_CARDS <= 1 << (5 * PLACE_DIGITS));

/// The code of a customer's card by its place among the customer's, from 0.
pub fn card_code(customer: CustomerId, place: usize) -> String {
    let mut code = String::with_capacity(ID_DIGITS + PLACE_DIGITS);
    put_digits(&mut code, customer.0.as_u128(), ID_DIGITS);
    put_digits(&mut code, place as u128, PLACE_DIGITS);
    code
}

fn put_digits(code: &mut String, number: u128, digits: usize) {
    let of = |digit: usize| char::from(DIGITS[(number >> (5 * digit)) as usize & 31]);
    code.extend((0..digits).rev().map(of));
}

/// Whose card it may be, and which: as a person types it, in any case, with spaces and hyphens, O for 0 and I or L for 1.
pub fn parse_card_code(text: &str) -> Option<(CustomerId, usize)> {
    let mut digits = [0_u8; ID_DIGITS + PLACE_DIGITS];
    let mut read = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-'));
    for digit in &mut digits {
        *digit = digit_of(read.next()?)?;
    }
    if read.next().is_some() || digits[0] > 7 {
        return None;
    }
    let (id, place) = digits.split_at(ID_DIGITS);
    let number = |digits: &[u8]| digits.iter().fold(0_u128, |number, digit| number << 5 | u128::from(*digit));
    Some((CustomerId(Uuid::from_u128(number(id))), usize::try_from(number(place)).ok()?))
}

/// Who is meant by a referral code: a customer's id, or the code of one of its cards.
pub fn referrer_of(code: &str) -> Option<CustomerId> {
    parse_customer_id(code).or_else(|| parse_card_code(code).map(|(id, _)| id))
}

fn digit_of(byte: u8) -> Option<u8> {
    let byte = match byte.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        byte => byte,
    };
    DIGITS.iter().position(|digit| *digit == byte).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_to_its_customer_and_card() {
        let ids = [0, 1, u128::MAX, 0x0197_1E5C_0000_8000_8000_1234_5678_9ABC];
        for (id, place) in ids.into_iter().flat_map(|id| [(id, 0), (id, 1), (id, MAX_CARDS - 1)]) {
            let customer = CustomerId(Uuid::from_u128(id));
            let code = card_code(customer, place);
            assert_eq!(code.len(), 28, "{code}");
            assert_eq!(parse_card_code(&code), Some((customer, place)), "{code}");
            let typed = code.to_lowercase().replace('0', "o").replace('1', "l");
            assert_eq!(parse_card_code(&format!(" {}-{}", &typed[..7], &typed[7..])), Some((customer, place)));
        }
        assert_eq!(card_code(CustomerId(Uuid::from_u128(33)), 31), "000000000000000000000000110Z");
    }

    #[test]
    fn what_is_no_code_leads_nowhere() {
        let code = card_code(CustomerId(Uuid::from_u128(7)), 0);
        let longer = format!("{code}0");
        let beyond_128_bits = format!("8{}", &code[1..]);
        for text in ["", "ada", &code[1..], &longer, &code.replace('7', "U"), &beyond_128_bits, &code.replace('7', "ü")]
        {
            assert_eq!(parse_card_code(text), None, "{text}");
        }
    }
}
