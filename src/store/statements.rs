//! The lane's statements, each in a file of its own under `sql/`, prepared once per connection.

use deadpool_postgres::Object;
use futures_util::try_join;
use tokio_postgres::Statement;

use super::StoreError;

macro_rules! statements {
    ($($name:ident)*) => {
        pub(super) struct Statements {
            $(pub $name: Statement,)*
        }

        impl Statements {
            /// Prepares all of them at once: they share their round trips.
            pub async fn prepare(client: &Object) -> Result<Statements, StoreError> {
                let ($($name,)*) = try_join!(
                    $(client.prepare_cached(include_str!(concat!("sql/", stringify!($name), ".sql"))),)*
                )?;
                Ok(Statements { $($name,)* })
            }
        }
    };
}

statements! {
    lane_lock lane_take_over lane_advance
    outbox_unpublished outbox_insert outbox_forget
    merchants config_versions
    decisions entries memory due customers
    parked parked_due parked_count parked_insert parked_delete
    customers_insert customers_update accounts_update
    entries_insert decisions_insert memory_insert config_versions_insert
}
