//! A merchant who sends commands one by one and waits for the answers, in JSON as any sender without a registry would.

use loyalty_worker::codec::records::CreditCommand;
use loyalty_worker::domain::command::{CreditAmount, CreditBody, CustomerRef, Envelope, RefKind};
use serde_json::{Value, json};

use super::Installation;
use super::published::{Published, Record};
use super::topics::{ByHand, Position, Topics};
use crate::load::MERCHANTS;
use crate::load::murmur2::partition_of;

pub struct Shop {
    pub merchant: &'static str,
    pub topics: Topics,
    pub answers: Published,
}

impl Shop {
    /// The first merchant whose lane this is.
    pub fn of_lane(installation: &Installation, lane: i32) -> Shop {
        let is_its = |id: &&str| partition_of(id.as_bytes(), installation.lanes) == lane;
        Shop::of(installation, MERCHANTS.into_iter().find(is_its).expect("a merchant"))
    }

    pub fn of(installation: &Installation, merchant: &'static str) -> Shop {
        Shop { merchant, topics: installation.topics(), answers: Published::answers(installation) }
    }

    pub fn command(&self, key: &str, customer: Option<&str>, command: Value) -> Value {
        let mut envelope = json!({ "merchant_id": self.merchant, "idempotency_key": key });
        if let Some(external_id) = customer {
            envelope["customer"] = json!({ "kind": "external_id", "value": external_id });
        }
        json!({ "envelope": envelope, "command": command })
    }

    /// Sends a command and does not wait for its answer.
    pub fn send(&self, topic: &str, command: &Value) -> Position {
        self.send_with(topic, command, &[])
    }

    pub fn send_with(&self, topic: &str, command: &Value, headers: &[(String, Vec<u8>)]) -> Position {
        let value = command.to_string().into_bytes();
        let record = ByHand { key: Some(self.merchant.as_bytes()), value: Some(&value), headers, partition: None };
        self.topics.write(topic, record)
    }

    /// Sends a command and waits for its result.
    pub fn ask(&mut self, topic: &str, command: &Value) -> Value {
        let position = self.send(topic, command);
        let answer = self.answers.await_answer(&position);
        assert_eq!(answer.topic, "results", "{answer:?}");
        answer.json
    }

    /// Sends bytes that are no command, and waits for their dead letter.
    pub fn ask_in_vain(&mut self, topic: &str, record: ByHand<'_>) -> (Position, Record) {
        let position = self.topics.write(topic, record);
        let answer = self.answers.await_answer(&position);
        assert!(answer.is_dead_letter(), "{answer:?}");
        (position, answer)
    }

    // ---- commands ----

    /// Points that never expire.
    pub fn points(&self, key: &str) -> Value {
        self.command(key, None, json!({ "type": "unit", "unit_id": "points", "name": "Points" }))
    }

    pub fn customer(&self, key: &str, external_id: &str) -> Value {
        self.command(
            key,
            None,
            json!({ "external_id": external_id, "first_name": "Ada", "email": format!("{external_id}@example.com") }),
        )
    }

    pub fn credit(&self, key: &str, external_id: &str, amount: i64) -> Value {
        self.command(key, Some(external_id), json!({ "type": "amount", "unit": "points", "amount": amount }))
    }

    pub fn redeem(&self, key: &str, external_id: &str, amount: i64) -> Value {
        self.command(key, Some(external_id), json!({ "type": "amount", "unit": "points", "amount": amount }))
    }

    /// A merchant with points and a customer, each answered.
    pub fn open(&mut self, external_id: &str) {
        let accepted = |result: Value| assert_eq!(result["status"], "accepted", "{result}");
        accepted(self.ask("merchant-config", &self.points(&format!("unit-for-{external_id}"))));
        accepted(self.ask("customer-upsert", &self.customer(&format!("hello-{external_id}"), external_id)));
    }
}

/// 70 points for ada, as a sender of Avro has it.
pub fn credit_of_ada(merchant: &str, key: &str, source: Option<&str>) -> CreditCommand {
    CreditCommand {
        envelope: Envelope {
            merchant_id: merchant.into(),
            idempotency_key: key.into(),
            customer: Some(CustomerRef { kind: RefKind::ExternalId, value: "ada".to_owned() }),
            occurred_at: None,
            source: source.map(str::to_owned),
            attributes: Default::default(),
        },
        command: CreditBody::CreditAmount(CreditAmount {
            unit: "points".into(),
            amount: 70,
            order_id: None,
            reason: None,
            title: None,
            expires_at: None,
            skip_notifications: false,
        }),
    }
}
