/// A batch makes and frees hundreds of thousands of small values on several threads, librdkafka's among them. With glibc's malloc a fifth
/// of the worker's time went there; ARCHITECTURE.md has the figures.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Two arenas, however many cores there are: batches are megabytes that one thread makes and another frees, and each arena more keeps a
/// share of what was freed. The environment's `MALLOC_CONF` goes before it.
// SAFETY: it is the one definition of the name by which jemalloc looks for a string that ends with a zero.
#[cfg(feature = "jemalloc")]
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8; 10] = b"narenas:2\0";

fn main() -> std::process::ExitCode {
    // Its first use decides whether OpenSSL frees everything at the end of the process, under the runtime's and librdkafka's threads, which
    // are not waited for and may still be closing connections. It does so by default, and librdkafka leaves it at that. This call does not
    // (OPENSSL_INIT_NO_ATEXIT), so it comes first.
    openssl::init();
    loyalty_worker::cli::main()
}
