//! What can go wrong with Postgres, sorted by what the worker has to do about it.

use std::error::Error;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::{WasNull, WrongType};

use super::sql_types::{Unreadable, Unstorable};

/// Why a step of the store failed. The message holds no values of rows: Postgres' DETAIL, which does, is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    pub kind: StoreErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// The connection, the server or a lock: drop the connection, wait, recover. Also every error of a COMMIT, whose effect is unknown.
    Transient,
    /// The lane row has another epoch or batch than its owner knows: somebody else writes this lane.
    LaneLost,
    /// Postgres, or a value's way to it, refuses what the batch wants to write: the same batch would fail again.
    Data,
    /// Rows are not as the single writer left them: a second writer, a hand or a defect.
    Corrupt,
    /// Nothing that a retry or another batch could mend: settings, privileges, a schema that is not migrated.
    Fatal,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError { kind, message: message.into() }
    }

    /// Somebody else holds the lock, or waits for ours: it may be had later.
    pub(super) fn is_busy(&self) -> bool {
        let codes = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        codes.iter().any(|code| self.message.starts_with(&format!("Postgres {}:", code.code())))
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> StoreError {
        StoreError::new(StoreErrorKind::Corrupt, message)
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            let kind = kind_of(refusal.code());
            let hint = match *refusal.code() {
                // An object is a type of the migrations, or a role, which they do not make.
                SqlState::UNDEFINED_OBJECT if refusal.message().starts_with("role ") => "",
                SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_OBJECT | SqlState::UNDEFINED_COLUMN => {
                    " (is the database migrated? `loyalty-worker migrate`)"
                }
                _ => "",
            };
            return StoreError::new(kind, format!("Postgres {}: {}{hint}", refusal.code().code(), refusal.message()));
        }
        let cause = error.source();
        let kind = match cause {
            Some(cause) if cause.is::<Unstorable>() => StoreErrorKind::Data,
            Some(cause) if cause.is::<Unreadable>() || cause.is::<WasNull>() => StoreErrorKind::Corrupt,
            // The columns are not of the types that this version knows.
            Some(cause) if cause.is::<WrongType>() => StoreErrorKind::Fatal,
            Some(_) | None => StoreErrorKind::Transient,
        };
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        StoreError::new(kind, format!("Postgres: {error}{cause}"))
    }
}

/// By the class of the SQLSTATE, its first two characters.
fn kind_of(code: &SqlState) -> StoreErrorKind {
    match *code {
        // "cached plan must not change result type": a migration went by; a new connection prepares anew.
        SqlState::FEATURE_NOT_SUPPORTED => return StoreErrorKind::Transient,
        // While it is restored, a database is not there.
        SqlState::UNDEFINED_DATABASE => return StoreErrorKind::Transient,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => return StoreErrorKind::Corrupt,
        _ => {}
    }
    match code.code().get(..2).unwrap_or_default() {
        // Connection, transaction state, rollback, resources, object in use, operator, system, internal.
        "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => StoreErrorKind::Transient,
        // Data exception, integrity constraint, program limit (a row or an index entry too large).
        "22" | "23" | "54" => StoreErrorKind::Data,
        _ => StoreErrorKind::Fatal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_class_of_the_code() {
        let cases = [
            (SqlState::CONNECTION_FAILURE, StoreErrorKind::Transient),
            (SqlState::ADMIN_SHUTDOWN, StoreErrorKind::Transient),
            (SqlState::LOCK_NOT_AVAILABLE, StoreErrorKind::Transient),
            (SqlState::READ_ONLY_SQL_TRANSACTION, StoreErrorKind::Transient),
            (SqlState::T_R_DEADLOCK_DETECTED, StoreErrorKind::Transient),
            (SqlState::DISK_FULL, StoreErrorKind::Transient),
            (SqlState::FEATURE_NOT_SUPPORTED, StoreErrorKind::Transient),
            (SqlState::CHARACTER_NOT_IN_REPERTOIRE, StoreErrorKind::Data),
            (SqlState::UNIQUE_VIOLATION, StoreErrorKind::Data),
            (SqlState::PROGRAM_LIMIT_EXCEEDED, StoreErrorKind::Data),
            (SqlState::INDEX_CORRUPTED, StoreErrorKind::Corrupt),
            (SqlState::UNDEFINED_TABLE, StoreErrorKind::Fatal),
            (SqlState::INVALID_PASSWORD, StoreErrorKind::Fatal),
            (SqlState::UNDEFINED_DATABASE, StoreErrorKind::Transient),
        ];
        for (code, kind) in cases {
            assert_eq!(kind_of(&code), kind, "{}", code.code());
        }
    }
}
