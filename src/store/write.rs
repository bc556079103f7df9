//! The second half of a batch's transaction: its rows in one round trip, its outbox row and the lane's progress in another.

use deadpool_postgres::Object;
use futures_util::join;
use tokio_postgres::Statement;
use uuid::Uuid;

use super::decision_rows::NewDecision;
use super::lane::{Phase, by_topic};
use super::rows::{CustomerAccountsRow, CustomerRow};
use super::sql_types::{AsRow, RowAt, Rows, Timestamptz};
use super::{LaneConnection, OutboxValue, StoreError, StoreErrorKind};
use crate::batch::{ChangedCustomer, LaneState, RowChanges};
use crate::domain::{CustomerChange, CustomerState, Outcome};
use crate::fail_point;

impl LaneConnection {
    /// Writes what the batch that was begun changes, and remembers those of its outcomes that are to be. Each table takes one statement, which must touch exactly as many rows as it was
    /// given: the single writer knows what is there. All of them are sent when this is polled first.
    pub async fn write(&mut self, rows: &RowChanges, outcomes: &[Outcome]) -> Result<(), StoreError> {
        self.enter(Phase::Begun)?;
        let written = self.write_rows(rows, outcomes).await;
        self.leave(written, Phase::Written).await
    }

    /// Writes the outbox row, and moves the lane from `state` to `next`. Outbox rows that are known to be published, up to and with
    /// `forget_published_through`, go in passing.
    pub async fn advance(
        &mut self,
        lane: i32,
        state: &LaneState,
        next: &LaneState,
        outbox: Option<&OutboxValue>,
        forget_published_through: Option<i64>,
    ) -> Result<(), StoreError> {
        self.enter(Phase::Written)?;
        let advanced = self.advance_lane(lane, state, next, outbox, forget_published_through).await;
        self.leave(advanced, Phase::Advanced).await?;
        fail_point::reached("before-commit");
        Ok(())
    }

    async fn advance_lane(
        &self,
        lane: i32,
        state: &LaneState,
        next: &LaneState,
        outbox: Option<&OutboxValue>,
        forget_published_through: Option<i64>,
    ) -> Result<(), StoreError> {
        let (client, statements) = self.parts();
        let say = async {
            let Some(value) = outbox else { return Ok(()) };
            let (before, after) = (by_topic(&state.frontier.0), by_topic(&next.frontier.0));
            client
                .execute(&statements.outbox_insert, &[&lane, &next.batch, &before, &after, &value.as_bytes()])
                .await?;
            Ok::<_, StoreError>(())
        };
        let forget = async {
            let Some(through) = forget_published_through else { return Ok(()) };
            fail_point::reached("before-outbox-delete");
            client.execute(&statements.outbox_forget, &[&lane, &through]).await?;
            Ok::<_, StoreError>(())
        };
        let advance = async {
            let positions = by_topic(&next.frontier.0);
            let lane_time = Timestamptz(next.lane_time);
            let advanced = client
                .execute(
                    &statements.lane_advance,
                    &[&lane, &state.epoch, &state.batch, &next.batch, &lane_time, &next.due_pending, &positions],
                )
                .await?;
            if advanced == 1 {
                return Ok(());
            }
            let message = format!("lane {lane} is not at epoch {}, batch {} any more", state.epoch, state.batch);
            Err(StoreError::new(StoreErrorKind::LaneLost, message))
        };
        // Sent in this order, without waiting. The first failure is the one to tell; after it all others fail too.
        let (said, forgotten, advanced) = join!(say, forget, advance);
        said.and(forgotten).and(advanced)
    }

    async fn write_rows(&self, rows: &RowChanges, outcomes: &[Outcome]) -> Result<(), StoreError> {
        let (client, statements) = self.parts();
        let decisions = outcomes.iter().filter_map(|outcome| Some(NewDecision(outcome.remembered_by?, outcome)));
        let decisions: Vec<NewDecision<'_>> = decisions.collect();
        let (mut created, mut profiles, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
        for ChangedCustomer { state, change, .. } in &rows.customers {
            match change {
                CustomerChange::Created => created.push(CustomerRow { row_at: None, state }),
                CustomerChange::Profile => profiles.push(CustomerRow { row_at: Some(self.row_at(state)?), state }),
                CustomerChange::Accounts | CustomerChange::NextDue => {
                    accounts.push(CustomerAccountsRow { row_at: self.row_at(state)?, state });
                }
            }
        }
        let unparked: Vec<Uuid> = rows.unparked.iter().map(|seed| Uuid::from_bytes(seed.digest)).collect();
        let done: [Result<(), StoreError>; 9] = join!(
            write_all(client, &statements.config_versions_insert, "config_version", &rows.versions),
            write_all(client, &statements.customers_insert, "customer", &created),
            write_all(client, &statements.customers_update, "customer", &profiles),
            write_all(client, &statements.accounts_update, "customer", &accounts),
            write_all(client, &statements.entries_insert, "entry", &rows.entries),
            write_all(client, &statements.decisions_insert, "decision", &decisions),
            write_all(client, &statements.memory_insert, "memory", &rows.memory),
            write_all(client, &statements.parked_insert, "parked", &rows.parked),
            delete_all(client, &statements.parked_delete, "parked", &unparked),
        )
        .into();
        done.into_iter().collect()
    }

    fn row_at(&self, state: &CustomerState) -> Result<RowAt, StoreError> {
        let id = state.customer.customer_id;
        let found = self.found_at.get(&id).copied();
        found.ok_or_else(|| StoreError::corrupt(format!("customer {id} was changed without having been loaded")))
    }
}

async fn write_all<T: AsRow + Sync>(
    client: &Object,
    statement: &Statement,
    table: &str,
    rows: &[T],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    check(client.execute(statement, &[&Rows(rows)]).await?, table, rows.len())
}

async fn delete_all(client: &Object, statement: &Statement, table: &str, ids: &[Uuid]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    check(client.execute(statement, &[&ids]).await?, table, ids.len())
}

fn check(touched: u64, table: &str, rows: usize) -> Result<(), StoreError> {
    if touched == rows as u64 {
        return Ok(());
    }
    Err(StoreError::corrupt(format!(
        "{touched} rows of table {table} instead of {rows}: rows are missing, or written twice, or somebody else writes them"
    )))
}
