//! Reading a record's headers, for lanes and for replays alike.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use rdkafka::bindings as ffi;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message};
use rdkafka::types::RDKafkaRespErr;

use crate::record::{Header, Headers};

/// Finding a header by its place takes longer the further back it is, so what comes behind so many is not read.
const MAX_HEADERS_READ: usize = 1_000;

/// Those of a command that are kept.
///
/// # Safety
/// `native` is a message of a consumer's queue.
pub(super) unsafe fn of_command(native: &ffi::rd_kafka_message_t) -> Headers {
    let (mut kept, mut list) = (Headers::default(), ptr::null_mut());
    // SAFETY: the list belongs to the message.
    unsafe {
        if ffi::rd_kafka_message_headers(native, &mut list) == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let are_more = read(list, |name, value| kept.push(name, value));
            kept.are_cut |= are_more;
        }
    }
    kept
}

/// All that are read. The safe wrapper's own reading panics at a name that is not UTF-8.
pub(super) fn of_message(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut all = Vec::new();
    if let Some(headers) = message.headers() {
        let list = ptr::from_ref::<BorrowedHeaders>(headers).cast();
        // SAFETY: a BorrowedHeaders is nothing but the address of the native list, which lives as long as the message.
        unsafe { read(list, |name, value| all.push(Header::new(name, value))) };
    }
    all
}

/// Reads the headers in their order. True: there are more.
///
/// # Safety
/// `list` is a list of headers that lives for as long as this takes.
unsafe fn read(list: *const ffi::rd_kafka_headers_t, mut take: impl FnMut(&[u8], &[u8])) -> bool {
    let (mut name, mut value, mut size): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
    for index in 0..=MAX_HEADERS_READ {
        // SAFETY: a header that is found has a name, NUL-terminated, and `size` bytes behind a value that is not null.
        unsafe {
            if ffi::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size)
                != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return false;
            }
            if index < MAX_HEADERS_READ {
                let value = if value.is_null() { &[] } else { std::slice::from_raw_parts(value.cast::<u8>(), size) };
                take(CStr::from_ptr(name).to_bytes(), value);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bytes_and_values_may_be_absent() {
        // SAFETY: the list lives until it is destroyed; the names and values are copied into it.
        unsafe {
            let list = ffi::rd_kafka_headers_new(2);
            let name: &[u8] = b"\xff\xfe";
            ffi::rd_kafka_header_add(list, name.as_ptr().cast(), 2, ptr::null(), 0);
            ffi::rd_kafka_header_add(list, c"plain".as_ptr(), -1, c"value".as_ptr().cast(), 5);
            let mut found = Vec::new();
            assert!(!read(list, |name, value| found.push((name.to_vec(), value.to_vec()))));
            assert_eq!(found, [(name.to_vec(), vec![]), (b"plain".to_vec(), b"value".to_vec())]);
            for _ in 0..MAX_HEADERS_READ {
                ffi::rd_kafka_header_add(list, c"more".as_ptr(), -1, ptr::null(), 0);
            }
            let mut count = 0;
            assert!(read(list, |_, _| count += 1));
            assert_eq!(count, MAX_HEADERS_READ);
            ffi::rd_kafka_headers_destroy(list);
        }
    }
}
