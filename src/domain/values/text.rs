//! What a text from a sender may hold, and the form in which texts are compared.

use unicode_normalization::UnicodeNormalization;

/// Characters without any picture of their own, apart from the two joiners, which names and pictures need: soft hyphens, zero-width spaces,
/// marks and overrides of direction, fillers, tags.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
        | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// What no name and no label may hold: it would deceive whoever reads it.
pub fn is_deceptive(c: char) -> bool {
    c.is_control() || is_invisible(c) || c == NO_CHARACTER
}

/// What [`is_deceptive`] refuses, in words.
pub const NO_SUCH_CHARACTERS: &str =
    "must not contain control characters, invisible characters or halves of surrogate pairs";

/// The same for texts that may have several lines.
pub fn is_deceptive_in_prose(c: char) -> bool {
    is_deceptive(c) && !matches!(c, '\n' | '\r' | '\t')
}

/// The same for what is compared: there joiners and variation selectors too make two of what looks like one.
pub fn is_deceptive_in_id(c: char) -> bool {
    is_deceptive(c) || matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// What stands for half of a surrogate pair in JSON, which is no character. Unicode keeps it free for such uses.
pub const NO_CHARACTER: char = '\u{ffff}';

/// The form in which identifiers and order ids are compared and stored: without spaces around it, and in NFC, so that one text has one form.
pub fn compared(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() { text.to_owned() } else { text.nfc().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_one_form() {
        assert_eq!(compared(" 1001\u{3000}"), "1001");
        assert_eq!(compared("Zoe\u{308}"), compared("Zo\u{eb}"));
    }

    #[test]
    fn names_may_have_joiners_and_ids_may_not() {
        for c in
            ['\u{200b}', '\u{feff}', '\u{200f}', '\u{ad}', '\u{2060}', '\u{202e}', '\n', '\u{1b}', '\u{7f}', '\u{ffff}']
        {
            assert!(is_deceptive(c) && is_deceptive_in_id(c), "{c:?}");
        }
        for c in ['\u{200c}', '\u{200d}', '\u{fe0f}', '\u{e0100}'] {
            assert!(!is_deceptive(c) && is_deceptive_in_id(c), "{c:?}");
        }
        for c in ['a', 'é', '張', ' ', '👩'] {
            assert!(!is_deceptive_in_id(c), "{c:?}");
        }
    }
}
