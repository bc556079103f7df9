//! Avro's binary encoding, as far as the project's schemas use it.

/// Appends one datum.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn long(&mut self, value: i64) -> &mut Self {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            self.0.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        self.0.push(zigzag as u8);
        self
    }

    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.0.push(u8::from(value));
        self
    }

    pub fn string(&mut self, value: &str) -> &mut Self {
        self.long(value.len() as i64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// A union of null and something.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => {
                self.long(0);
            }
            Some(value) => {
                self.long(1);
                write(self, value);
            }
        }
        self
    }

    pub fn option_string(&mut self, value: Option<&str>) -> &mut Self {
        self.option(value, |writer, text| {
            writer.string(text);
        })
    }

    /// Fields that are null, whatever they could be.
    pub fn nulls(&mut self, count: usize) -> &mut Self {
        (0..count).for_each(|_| {
            self.long(0);
        });
        self
    }

    pub fn option_long(&mut self, value: Option<i64>) -> &mut Self {
        self.option(value, |writer, long| {
            writer.long(long);
        })
    }

    pub fn option_boolean(&mut self, value: Option<bool>) -> &mut Self {
        self.option(value, |writer, flag| {
            writer.boolean(flag);
        })
    }
}

/// Reads a datum from its beginning; `None` where it does not go on as asked.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Past the frame of Confluent's wire format.
    pub fn of_frame(bytes: &'a [u8]) -> Option<Reader<'a>> {
        match bytes {
            [0, _, _, _, _, datum @ ..] => Some(Reader(datum)),
            _ => None,
        }
    }

    pub fn long(&mut self) -> Option<i64> {
        let mut zigzag = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        None
    }

    pub fn boolean(&mut self) -> Option<bool> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte != 0)
    }

    pub fn string(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// A union of null and something. The outer `None` is broken bytes.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.long()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }
}
