//! Fills a new database as a programme leaves it: customers with their lots, the ledger, the remembered keys.

use crate::load::MERCHANTS;
use crate::support::Failure;
use crate::support::database::Database;
use crate::support::processes::check_signals;

/// How full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Each has two identifiers and an account.
    pub customers: u64,
    /// In the ledger, for each customer: 1, an earning of 1,000; or 5, three earnings and two redemptions, which leave three lots.
    pub entries_each: u64,
    /// Keys of decided commands.
    pub keys: u64,
}

impl Fill {
    /// Of a merchant's first weeks.
    pub fn young(customers: u64) -> Fill {
        Fill { customers, entries_each: 1, keys: 0 }
    }

    /// Of the third year.
    pub fn old(customers: u64) -> Fill {
        Fill { customers, entries_each: 5, keys: 5 * customers }
    }
}

/// Fills the migrated, empty database at `url`.
pub fn fill(url: &str, fill: Fill) -> Result<(), Failure> {
    let database = Database::connect(url)?;
    // What is loaded in bulk is indexed in bulk. The worker's own definitions are made again, whatever they are.
    let definitions = database.rows(
        "select format('alter table %s drop constraint %I', c.conrelid::regclass, c.conname), \
         format('alter table %s add constraint %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)) \
         from pg_constraint c where c.contype = 'p' and c.conrelid in ('customer'::regclass, 'entry'::regclass, 'decision'::regclass) \
         union all \
         select format('drop index %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid) \
         from pg_index i where not i.indisprimary and i.indrelid in ('customer'::regclass, 'entry'::regclass, 'decision'::regclass)",
    )?;
    let column = |place: usize| definitions.iter().map(move |row| row[place].as_str());
    database.execute(&column(0).collect::<Vec<_>>().join(";"))?;
    database.execute(
        "set synchronous_commit = off; set maintenance_work_mem = '1GB'; set max_parallel_maintenance_workers = 1",
    )?;

    // Two at a time, for two cores.
    let other = Database::connect(url)?;
    other.execute("set synchronous_commit = off")?;
    std::thread::scope(|scope| {
        let ledger = scope.spawn(|| other.execute(&entries(fill)));
        let rest = database.execute(&customers(fill)).and_then(|()| database.execute(&decisions(fill)));
        let ledger = ledger.join().map_err(|_| "the ledger's loader panicked")?;
        rest.and(ledger)
    })?;
    for index in column(1) {
        check_signals()?;
        database.execute(index)?;
    }
    // Only what is full: of empty tables Postgres would take it from here that they stay so.
    for table in ["customer", "entry", "decision"].into_iter().filter(|table| *table != "decision" || fill.keys > 0) {
        check_signals()?;
        database.execute(&format!("vacuum (freeze, analyze) {table}"))?;
    }
    Ok(())
}

fn customers(fill: Fill) -> String {
    let count = fill.customers;
    let (accounts, lots) = if fill.entries_each == 1 {
        let first = transaction("i");
        let accounts = packed(&["1", &first, "1000", "0", "0", "0", "1000", "0", NO_NUMBER]);
        (accounts, packed(&["1", &first, "1000", "1000", "issued", NO_NUMBER]))
    } else {
        let lot = |n: u64, amount: &str, remaining: &str| {
            packed(&["1", &transaction(&format!("i + {}", n * count)), amount, remaining, "issued", NO_NUMBER])
        };
        let last = transaction(&format!("i + {}", 4 * count));
        let lots = [lot(0, "1000", "900"), lot(1, "100", "100"), lot(3, "100", "100")].join(" || ");
        (packed(&["5", &last, "1100", "0", "0", "0", "1200", "100", NO_NUMBER]), lots)
    };
    format!(
        "insert into customer (customer_id, external_key, email_key, merchant_id, version, status, external_id, email, first_name, \
         last_name, notify_email, notify_phone, created_at, updated_at, unit_ids, accounts, lots) \
         select uuid_at({id}, 0), {external_key}, {email_key}, merchant, 2, 1, 'c-' || i, 'c' || i || '@example.com', 'Customer', \
         'Number ' || i, true, false, now(), now(), array['points'], {accounts}, {lots} \
         from (select i, (array[{merchants}])[1 + i % {of}] as merchant, (extract(epoch from now()) * 1000000)::bigint as issued \
         from generate_series(1, {count}) i) c",
        id = transaction("i"),
        external_key = key("external_id", "'c-' || i"),
        email_key = key("email", "'c' || i || '@example.com'"),
        merchants = MERCHANTS.map(|id| format!("'{id}'")).join(", "),
        of = MERCHANTS.len(),
    )
}

/// One round of all customers after the other, as time would have written them.
fn entries(fill: Fill) -> String {
    const ROUNDS: [(i16, i64, i64); 5] =
        [(1, 1000, 1000), (1, 100, 1100), (2, 50, 1050), (1, 100, 1150), (2, 50, 1100)];
    let count = fill.customers;
    let round = |(round, (kind, amount, balance)): (u64, &(i16, i64, i64))| {
        let id = |round: u64| format!("uuid_at({}, 0)", transaction(&format!("i + {}", round * count)));
        let previous = round.checked_sub(1).map_or("null".to_owned(), id);
        // What is redeemed comes out of the first lot.
        let lots =
            if *kind == 2 { packed(&[&transaction("i"), &amount.to_string()]) } else { "null::bytea".to_owned() };
        format!(
            "insert into entry (transaction_id, previous, customer_id, unit_id, seq, kind, amount, balance_after, occurred_at, \
             recorded_at, lots, cause_offset, cause_partition, cause_topic) \
             select {}, {previous}, uuid_at({}, 0), 'points', {}, {kind}, {amount}, {balance}, now(), now(), {lots}, i, 0, 3 \
             from generate_series(1, {count}) i",
            id(round),
            transaction("i"),
            round + 1,
        )
    };
    let rounds = usize::try_from(fill.entries_each).unwrap_or(ROUNDS.len());
    (0..).zip(ROUNDS.iter().take(rounds)).map(round).collect::<Vec<_>>().join(";")
}

/// Keys that nobody will send again.
fn decisions(fill: Fill) -> String {
    let Fill { customers, keys, .. } = fill;
    format!(
        "insert into decision (key_hash, content_hash, customer_id, customer_version, occurred_at, decided_at, \"offset\", \
         \"partition\", topic, effect, entries) \
         select md5('key' || i)::uuid, md5('content' || i)::uuid, uuid_at({}, 0), 2, now(), now(), i, 0, 3, 4, array[uuid_at({}, 0)] \
         from generate_series(1, {keys}) i",
        transaction(&format!("1 + i % {customers}")),
        transaction("i"),
    )
}

/// The `n`th transaction's id, packed: in the order of time, as the worker makes them.
fn transaction(n: &str) -> String {
    format!("('\\x01900000000080008000'::bytea || substring(int8send(({n})::bigint), 3))")
}

/// Numbers and packed ids, one after the other.
fn packed(values: &[&str]) -> String {
    let packed = |value: &&str| {
        if value.starts_with('(') { (*value).to_owned() } else { format!("int8send(({value})::bigint)") }
    };
    values.iter().map(packed).collect::<Vec<_>>().join(" || ")
}

/// Null among packed numbers.
const NO_NUMBER: &str = "-9223372036854775808";

/// `lookup_key` of merchant, kind and value, written out: as a function call it would take four times as long.
fn key(kind: &str, value: &str) -> String {
    let part = |sql: &str| format!("convert_to({sql}, 'UTF8')");
    let parts = [part("merchant"), part(&format!("'{kind}'")), part(value)].join(" || '\\x00'::bytea || ");
    format!("encode(substring(sha256({parts}), 1, 16), 'hex')::uuid")
}
