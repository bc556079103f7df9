//! How a value is encoded, told by its first byte and never guessed.
//!
//! | first bytes | encoding |
//! |---|---|
//! | `00`, four bytes of schema id | Avro in Confluent's wire format |
//! | `7B` (`{`), perhaps after a byte order mark, spaces and line ends | JSON |
//! | `C3 01`, eight bytes of fingerprint | Avro single-object encoding, of a schema that this worker was built with |

/// What stands before every value that a registry's schema describes.
const CONFLUENT_MAGIC: u8 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framed<'a> {
    Confluent { schema_id: u32, datum: &'a [u8] },
    SingleObject { fingerprint: [u8; 8], datum: &'a [u8] },
    Json(&'a [u8]),
}

/// Tells the encoding. The error is the sentence that mends the sender.
pub fn split(value: &[u8]) -> Result<Framed<'_>, &'static str> {
    match value {
        [] => Err("The value is empty. Send a command as Avro in Confluent's wire format or as a JSON object."),
        [CONFLUENT_MAGIC, a, b, c, d, datum @ ..] => {
            Ok(Framed::Confluent { schema_id: u32::from_be_bytes([*a, *b, *c, *d]), datum })
        }
        [CONFLUENT_MAGIC, ..] => {
            Err("The value begins as Avro in Confluent's wire format, but ends before the four bytes of the schema id.")
        }
        [b'{', ..] => Ok(Framed::Json(value)),
        [0xEF, 0xBB, 0xBF, text @ ..] if text.trim_ascii_start().starts_with(b"{") => Ok(Framed::Json(text)),
        [b' ' | b'\t' | b'\r' | b'\n', ..] if value.trim_ascii_start().starts_with(b"{") => Ok(Framed::Json(value)),
        [0xC3, 0x01, a, b, c, d, e, f, g, h, datum @ ..] => {
            Ok(Framed::SingleObject { fingerprint: [*a, *b, *c, *d, *e, *f, *g, *h], datum })
        }
        [0xC3, 0x01, ..] => Err(
            "The value begins as Avro's single-object encoding, but ends before the eight bytes of the fingerprint.",
        ),
        _ => Err(
            "The first byte is that of no known encoding. Send Avro in Confluent's wire format (a zero byte, the schema id \
             in four bytes, the datum) or in single-object encoding, or a JSON object, which begins with `{`.",
        ),
    }
}

/// A value in Confluent's wire format, in the room that is given; `write` appends the datum.
pub fn confluent(schema_id: u32, mut value: Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    value.clear();
    value.push(CONFLUENT_MAGIC);
    value.extend_from_slice(&schema_id.to_be_bytes());
    write(&mut value);
    value
}
