//! Which database has what, where there are several: a lane's rows and those of its merchants are in the one whose range has the lane.

use futures_util::future::join_all;

use super::{LaneIdentity, Needs, Store, StoreError, StoreErrorKind, other_lanes};
use crate::config::PostgresSettings;
use crate::domain::MerchantId;
use crate::record::lane_of;

/// All databases of an installation; one, unless `postgres.lane_urls` has more.
#[derive(Clone)]
pub struct Databases(Vec<Store>);

impl Databases {
    /// Connects to all of them. See [`Store::connect`].
    pub async fn connect(settings: &[PostgresSettings]) -> Result<Databases, StoreError> {
        Databases::unasked(settings)?.each_answers().await
    }

    /// The same for what needs the tables of this version, and refuses others.
    pub async fn connect_migrated(settings: &[PostgresSettings]) -> Result<Databases, StoreError> {
        Databases::new(settings, Needs::Tables)?.each_answers().await
    }

    async fn each_answers(self) -> Result<Databases, StoreError> {
        for store in self.all() {
            drop(store.client().await?);
        }
        Ok(self)
    }

    /// For a worker, whose lanes in one database need not wait for another: connects to those that answer. One that is away is looked at
    /// when it is used. One that is wrong or not migrated is refused, now or then; and so is now that none answers.
    pub async fn connect_some(settings: &[PostgresSettings]) -> Result<Databases, StoreError> {
        let databases = Databases::new(settings, Needs::WorkerRights)?;
        let mut away = Vec::new();
        for answer in join_all(databases.all().iter().map(Store::client)).await {
            match answer {
                Ok(_) => {}
                Err(error) if error.kind == StoreErrorKind::Transient => away.push(error),
                Err(error) => return Err(error),
            }
        }
        let all_are_away = away.len() == databases.all().len();
        match away.into_iter().next() {
            Some(error) if all_are_away => Err(error),
            _ => Ok(databases),
        }
    }

    /// Connects to none yet: each is looked at when it is used.
    pub fn unasked(settings: &[PostgresSettings]) -> Result<Databases, StoreError> {
        Databases::new(settings, Needs::Nothing)
    }

    fn new(settings: &[PostgresSettings], needs: Needs) -> Result<Databases, StoreError> {
        let stores: Result<Vec<Store>, StoreError> =
            settings.iter().map(|database| Store::new(database, needs)).collect();
        Ok(Databases(stores?))
    }

    /// Connects to the one that has a lane; the others need not be there.
    pub async fn connect_lane(settings: &[PostgresSettings], lane: i32) -> Result<Store, StoreError> {
        let of_lane = settings.iter().find(|database| database.lanes.is_none_or(|lanes| lanes.has(lane)));
        Store::connect(of_lane.ok_or_else(|| no_range(lane))?).await
    }

    /// The same for a merchant.
    pub async fn connect_merchant(settings: &[PostgresSettings], merchant: &MerchantId) -> Result<Store, StoreError> {
        let lanes = settings.iter().find_map(|database| database.lanes);
        let lane = lanes.map_or(0, |lanes| lane_of(merchant.as_str().as_bytes(), lanes.of));
        Databases::connect_lane(settings, lane).await
    }

    /// In the order of their lanes.
    pub fn all(&self) -> &[Store] {
        &self.0
    }

    pub fn of_lane(&self, lane: i32) -> Result<&Store, StoreError> {
        let of_lane = self.0.iter().find(|store| store.lanes().is_none_or(|lanes| lanes.has(lane)));
        of_lane.ok_or_else(|| no_range(lane))
    }

    /// Whose each registered lane is, in the databases that answer.
    pub async fn known_lanes(&self) -> Result<Vec<LaneIdentity>, StoreError> {
        let mut known = Vec::new();
        for store in &self.0 {
            match store.known_lanes().await {
                Ok(lanes) => known.extend(lanes),
                Err(error) if error.kind == StoreErrorKind::Transient => {}
                Err(error) => return Err(error),
            }
        }
        Ok(known)
    }

    /// Refuses ranges that leave lanes out, or have some that there are not.
    pub fn check_lanes(&self, lanes: i32) -> Result<(), StoreError> {
        match self.0.iter().find_map(Store::lanes) {
            Some(ranges) if ranges.of != lanes => Err(StoreError::new(
                StoreErrorKind::Fatal,
                format!(
                    "postgres.lane_urls has the lanes 0 to {}, but there are {lanes} lanes: correct the ranges",
                    ranges.of - 1
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses lanes that were registered among another number than the topics have partitions. Where there are several databases, their
    /// ranges have been held against both.
    pub async fn check_partitions(&self, partitions: i32) -> Result<(), StoreError> {
        for store in self.0.iter().filter(|store| store.lanes().is_none()) {
            let found = store.client().await?.query_opt(include_str!("sql/lanes_other.sql"), &[&partitions]).await?;
            if let Some(row) = found {
                return Err(other_lanes(row.try_get(0)?, partitions));
            }
        }
        Ok(())
    }
}

fn no_range(lane: i32) -> StoreError {
    StoreError::new(StoreErrorKind::Fatal, format!("no range of postgres.lane_urls has lane {lane}"))
}
