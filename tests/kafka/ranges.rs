//! Reading a partition again, for `recover`, beside a network that is not at its best.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};

use loyalty_worker::kafka::ranges::RangeReader;

use super::*;

/// An address that hangs up on the first callers, and then leads to the broker.
fn hangs_up_at_first(broker: String, callers: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().skip(callers) {
            let (client, server) = (client.unwrap(), TcpStream::connect(&broker).unwrap());
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    // Either side may go away at any time.
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    address
}

#[tokio::test]
async fn a_broker_that_is_away_for_a_moment_does_not_end_the_reading() {
    let kafka = Kafka::with_topics(1).await;
    let credit = kafka.names.command(CommandTopic::Credit);
    kafka.upstream().transaction(&credit, 0, &["a", "b"], true);
    let bootstrap_servers = hangs_up_at_first(kafka.settings.bootstrap_servers.clone(), 3);
    let settings = KafkaSettings { bootstrap_servers, ..kafka.settings.clone() };
    let records = blocking(move || RangeReader::open(&settings, &credit, 0, 0).and_then(|mut it| it.read_to(2))).await;
    let values: Vec<_> = records.unwrap().into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, [b"a", b"b"]);
}
