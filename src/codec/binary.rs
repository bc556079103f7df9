//! Avro's binary form of the primitive types. Reading never allocates and never trusts a length.

/// The bytes end early or are not of the expected form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest > 0x7F {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A length, count or index.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_long(out, i64::try_from(length).expect("lengths in memory fit into 63 bits"));
}

pub(super) fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = input.split_at_checked(count).ok_or(Malformed)?;
    *input = rest;
    Ok(taken)
}

pub(super) fn take_long(input: &mut &[u8]) -> Result<i64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(input, 1)?[0];
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(Malformed)
}

pub(super) fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = take_index(input)?;
    take(input, length)
}

pub(super) fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    std::str::from_utf8(take_bytes(input)?).map_err(|_| Malformed)
}

pub(super) fn take_boolean(input: &mut &[u8]) -> Result<bool, Malformed> {
    match take(input, 1)?[0] {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

/// An index into a union's branches or an enum's symbols, or a length.
pub(super) fn take_index(input: &mut &[u8]) -> Result<usize, Malformed> {
    usize::try_from(take_long(input)?).map_err(|_| Malformed)
}

/// How many items the next block of an array or map has; 0 ends it. A block's own length in bytes is only a hint for skipping. Each item
/// must take at least a byte, so that a count can't ask for endless work.
pub(super) fn take_block(input: &mut &[u8]) -> Result<u64, Malformed> {
    let count = take_long(input)?;
    if count < 0 {
        take_long(input)?;
    }
    let count = count.unsigned_abs();
    if count > input.len() as u64 { Err(Malformed) } else { Ok(count) }
}
