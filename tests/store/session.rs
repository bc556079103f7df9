//! What a lane's session is set to, whatever its role or database has.

use loyalty_worker::batch::RowChanges;
use loyalty_worker::domain::CommandTopic;
use loyalty_worker::store::Store;

use crate::fixtures::*;

#[tokio::test]
async fn a_lane_commits_synchronously_though_the_database_says_otherwise() {
    for (set, used) in
        [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply"), ("on", "on")]
    {
        let mut database = Database::new().await;
        database
            .execute(&format!(
                "do $$ begin execute format('alter database %I set synchronous_commit = {set}', current_database()); end $$;
                 create table seen (value text);
                 create function see() returns trigger language plpgsql as $$
                 begin insert into seen values (current_setting('synchronous_commit')); return new; end $$;
                 create trigger see before update of batch on lane for each row execute function see()"
            ))
            .await;
        // Connections of before have the setting of before.
        database.store = Store::connect(&settings(&database.url, None)).await.unwrap();
        let (mut connection, state) = database.owner().await;
        apply(&mut connection, &state, &RowChanges::default()).await;
        database.has_row(&format!("seen where value = '{used}'")).await;
    }
}

/// As an installation is that was made when there were fewer topics.
#[tokio::test]
async fn a_topic_that_the_lane_has_not_had_yet_becomes_its_own() {
    let database = Database::new().await;
    database.execute("update lane set topic_ids = topic_ids - 'reversal', positions = positions - 'reversal'").await;
    let (before, _) = database.store.lane(LANE).await.unwrap().unwrap();
    assert_eq!(before.topic_ids[CommandTopic::Reversal.index()], None);
    let (mut connection, state) = database.owner().await;
    let mut expected = START;
    expected.set(CommandTopic::Reversal, 0);
    assert_eq!(state.frontier, expected);
    // One that only a later version knows keeps its position.
    database.execute("update lane set positions = positions || '{\"barter\": 7}'").await;
    let next = apply(&mut connection, &state, &RowChanges::default()).await;
    let (found, after) = database.store.lane(LANE).await.unwrap().unwrap();
    assert_eq!((after.frontier, found), (next.frontier, identity()));
    database.has_row("lane where (positions ->> 'barter')::bigint = 7").await;
}
