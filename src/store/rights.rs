//! Whether the session's role has the rights of a worker. What they are is said once, in `sql/grant_worker.sql`, which grants them.

use tokio_postgres::Client;

use super::StoreError;

/// One right on a table, or on one of its columns.
#[derive(Debug, PartialEq, Eq)]
struct Right<'a> {
    privilege: &'a str,
    table: &'a str,
    /// Empty: the table.
    column: &'a str,
}

/// The role, and what it lacks, each as `update on lane (epoch)`. Tables that are not there yet are no lack of rights.
pub(super) async fn missing(client: &Client) -> Result<(String, Vec<String>), StoreError> {
    let text = without_comments(include_str!("sql/grant_worker.sql"));
    let needed = rights(&text);
    let privileges: Vec<&str> = needed.iter().map(|right| right.privilege).collect();
    let tables: Vec<&str> = needed.iter().map(|right| right.table).collect();
    let columns: Vec<&str> = needed.iter().map(|right| right.column).collect();
    let role: String = client.query_one("select current_user::text", &[]).await?.try_get(0)?;
    let rows = client.query(include_str!("sql/rights_missing.sql"), &[&privileges, &tables, &columns]).await?;
    let missing: Result<Vec<String>, StoreError> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect();
    Ok((role, missing?))
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join(" ")
}

/// The rights on tables that the statements grant.
fn rights(statements: &str) -> Vec<Right<'_>> {
    let mut rights = Vec::new();
    for statement in statements.split(';') {
        let Some(granted) = statement.trim().strip_prefix("grant ") else { continue };
        let Some((privileges, rest)) = granted.split_once(" on ") else { continue };
        let Some((tables, _)) = rest.split_once(" to ") else { continue };
        if ["database ", "schema ", "function "].iter().any(|other| tables.starts_with(other)) {
            continue;
        }
        for table in tables.split(',').map(str::trim) {
            for (privilege, columns) in privileges_of(privileges) {
                rights.extend(columns.split(',').map(|column| Right { privilege, table, column: column.trim() }));
            }
        }
    }
    rights
}

/// `insert, update (a, b)` as its privileges, each with the columns in its parentheses.
fn privileges_of(mut list: &str) -> Vec<(&str, &str)> {
    let mut privileges = Vec::new();
    while !list.is_empty() {
        let end = list.find([',', '(']).unwrap_or(list.len());
        let name = list[..end].trim();
        let (columns, rest) = match list[end..].strip_prefix('(') {
            Some(inner) => inner.split_once(')').unwrap_or((inner, "")),
            None => ("", &list[end..]),
        };
        privileges.push((name, columns));
        list = rest.trim_start().strip_prefix(',').unwrap_or_default().trim_start();
    }
    privileges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_are_read_from_the_statements_that_grant_them() {
        let text = "grant usage on schema s to r; revoke all on t from r; grant select on t, u to r;
            grant insert, update (a, b) on v to r";
        let text = without_comments(text);
        let read: Vec<String> =
            rights(&text).iter().map(|r| format!("{} {} {}", r.privilege, r.table, r.column)).collect();
        assert_eq!(read, ["select t ", "select u ", "insert v ", "update v a", "update v b"]);
    }

    #[test]
    fn the_shipped_statements_grant_what_the_fence_needs() {
        let text = without_comments(include_str!("sql/grant_worker.sql"));
        let rights = rights(&text);
        for (privilege, table, column) in [
            ("update", "lane", "epoch"),
            ("insert", "outbox", ""),
            ("delete", "outbox", ""),
            ("select", "customer", ""),
        ] {
            assert!(rights.contains(&Right { privilege, table, column }), "{privilege} {table} {column}");
        }
    }
}
