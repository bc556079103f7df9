fn main() -> std::process::ExitCode {
    loyalty_worker::cli::main()
}
