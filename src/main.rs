/// A batch makes and frees hundreds of thousands of small values on several threads, librdkafka's among them. With glibc's malloc a fifth
/// of the worker's time went there; ARCHITECTURE.md has the figures.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    // Before librdkafka does it: this way OpenSSL registers no handler that frees everything at the end of the process, under threads that
    // are still connected.
    openssl::init();
    loyalty_worker::cli::main()
}
