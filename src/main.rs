/// A batch makes and frees hundreds of thousands of small values on several threads, librdkafka's among them. With glibc's malloc a fifth
/// of the worker's time went there; ARCHITECTURE.md has the figures.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    // Its first use decides whether OpenSSL frees everything at the end of the process, under the runtime's and librdkafka's threads, which
    // are not waited for and may still be closing connections. It does so by default, and librdkafka leaves it at that. This call does not
    // (OPENSSL_INIT_NO_ATEXIT), so it comes first.
    openssl::init();
    loyalty_worker::cli::main()
}
