//! Tiers, cards and programmes as rows, both ways. What they consist of is kept as JSON of its own, so that neither the schemas of the
//! commands nor the domain can change what is stored. A field that is added here later has a default, since older rows lack it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::StoreError;
use super::rows::merchant_id;
use super::sql_types::{AsRow, Columns, RowWriter, SqlError};
use crate::domain::config::objects::{
    Card, CardReward, CardStatus, Object, ObjectKind, ObjectVersion, Programme, Tier,
};
use crate::domain::{MerchantId, UnitId};

#[derive(Debug, Serialize, Deserialize)]
struct StoredTier<'a> {
    name: Cow<'a, str>,
    rank: i32,
    benefits: Cow<'a, BTreeMap<String, String>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredCard<'a> {
    name: Cow<'a, str>,
    stamps_required: i32,
    initial_stamps: i32,
    rewards: Vec<StoredReward<'a>>,
    status: i16,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredReward<'a> {
    reward_id: Cow<'a, str>,
    name: Cow<'a, str>,
    stamps: i32,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredProgramme<'a> {
    name: Cow<'a, str>,
    unit_id: Cow<'a, str>,
    tier_ids: Cow<'a, [String]>,
    active: bool,
}

impl AsRow for (MerchantId, String, Arc<ObjectVersion>) {
    fn put(&self, row: &mut RowWriter<'_>) -> Result<(), SqlError> {
        let (merchant_id, object_id, version) = self;
        row.value(&merchant_id.as_str())?;
        row.value(&version.object.kind().code())?;
        row.value(object_id)?;
        row.value(&version.version)?;
        row.instant(version.effective_from)?;
        row.instant(version.recorded_at)?;
        match &version.object {
            Object::Tier(Tier { name, rank, benefits }) => {
                row.value(&Json(StoredTier { name: name.into(), rank: *rank, benefits: Cow::Borrowed(benefits) }))
            }
            Object::Card(Card { name, stamps_required, initial_stamps, rewards, status }) => {
                row.value(&Json(StoredCard {
                    name: name.into(),
                    stamps_required: *stamps_required,
                    initial_stamps: *initial_stamps,
                    rewards: rewards.iter().map(stored_reward).collect(),
                    status: status.code(),
                }))
            }
            Object::Programme(Programme { name, unit_id, tier_ids, is_active }) => row.value(&Json(StoredProgramme {
                name: name.into(),
                unit_id: unit_id.as_str().into(),
                tier_ids: tier_ids.into(),
                active: *is_active,
            })),
        }
    }
}

fn stored_reward(reward: &CardReward) -> StoredReward<'_> {
    let CardReward { reward_id, name, stamps } = reward;
    StoredReward { reward_id: reward_id.into(), name: name.into(), stamps: *stamps }
}

/// A version with the merchant and the id of its object.
pub(crate) fn read_object_version(row: &Row) -> Result<(MerchantId, String, ObjectVersion), StoreError> {
    let mut columns = Columns::of(row);
    let merchant_id = merchant_id(&mut columns)?;
    let kind = columns.code(ObjectKind::from_code)?;
    let object_id = columns.take()?;
    let version = ObjectVersion {
        version: columns.take()?,
        effective_from: columns.instant()?,
        recorded_at: columns.instant()?,
        object: read_object(kind, &mut columns)?,
    };
    Ok((merchant_id, object_id, version))
}

fn read_object(kind: ObjectKind, columns: &mut Columns<'_>) -> Result<Object, StoreError> {
    match kind {
        ObjectKind::Tier => {
            let StoredTier { name, rank, benefits } = content(columns)?;
            Ok(Object::Tier(Tier { name: name.into_owned(), rank, benefits: benefits.into_owned() }))
        }
        ObjectKind::Card => {
            let StoredCard { name, stamps_required, initial_stamps, rewards, status } = content(columns)?;
            let status = CardStatus::from_code(status)
                .ok_or_else(|| StoreError::corrupt(format!("a card has the unknown status {status}")))?;
            let read = |StoredReward { reward_id, name, stamps }: StoredReward<'_>| CardReward {
                reward_id: reward_id.into_owned(),
                name: name.into_owned(),
                stamps,
            };
            let rewards = rewards.into_iter().map(read).collect();
            Ok(Object::Card(Card { name: name.into_owned(), stamps_required, initial_stamps, rewards, status }))
        }
        ObjectKind::Programme => {
            let StoredProgramme { name, unit_id, tier_ids, active } = content(columns)?;
            Ok(Object::Programme(Programme {
                name: name.into_owned(),
                unit_id: UnitId::new(&*unit_id),
                tier_ids: tier_ids.into_owned(),
                is_active: active,
            }))
        }
    }
}

fn content<T: DeserializeOwned>(columns: &mut Columns<'_>) -> Result<T, StoreError> {
    Ok(columns.take::<Json<T>>()?.0)
}
