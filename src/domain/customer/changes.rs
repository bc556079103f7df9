//! A profile's fields, one by one: whether they are set, cleared, different.

use crate::domain::customer::profile::ProfileField;
use crate::domain::customer::state::Customer;

impl ProfileField {
    pub fn is_set(self, customer: &Customer) -> bool {
        match self {
            ProfileField::ExternalId => customer.external_id.is_some(),
            ProfileField::Phone => customer.phone.is_some(),
            ProfileField::Email => customer.email.is_some(),
            ProfileField::FirstName => customer.first_name.is_some(),
            ProfileField::LastName => customer.last_name.is_some(),
            ProfileField::Name => customer.name.is_some(),
            ProfileField::BirthDate => customer.birth_date.is_some(),
            ProfileField::RegisteredOn => customer.registered_on.is_some(),
            ProfileField::Gender => customer.gender.is_some(),
            ProfileField::Language => customer.language.is_some(),
            ProfileField::BrandId => customer.brand_id.is_some(),
            ProfileField::Metrics => !customer.metrics.is_empty(),
            ProfileField::Metadata => !customer.metadata.is_empty(),
            ProfileField::TierId => customer.tier.is_some(),
        }
    }

    pub fn clear(self, customer: &mut Customer) {
        match self {
            ProfileField::ExternalId => customer.external_id = None,
            ProfileField::Phone => customer.phone = None,
            ProfileField::Email => customer.email = None,
            ProfileField::FirstName => customer.first_name = None,
            ProfileField::LastName => customer.last_name = None,
            ProfileField::Name => customer.name = None,
            ProfileField::BirthDate => customer.birth_date = None,
            ProfileField::RegisteredOn => customer.registered_on = None,
            ProfileField::Gender => customer.gender = None,
            ProfileField::Language => customer.language = None,
            ProfileField::BrandId => customer.brand_id = None,
            ProfileField::Metrics => customer.metrics.clear(),
            ProfileField::Metadata => customer.metadata.clear(),
            ProfileField::TierId => customer.tier = None,
        }
    }

    pub fn is_equal(self, one: &Customer, other: &Customer) -> bool {
        match self {
            ProfileField::ExternalId => one.external_id == other.external_id,
            ProfileField::Phone => one.phone == other.phone,
            ProfileField::Email => one.email == other.email,
            ProfileField::FirstName => one.first_name == other.first_name,
            ProfileField::LastName => one.last_name == other.last_name,
            ProfileField::Name => one.name == other.name,
            ProfileField::BirthDate => one.birth_date == other.birth_date,
            ProfileField::RegisteredOn => one.registered_on == other.registered_on,
            ProfileField::Gender => one.gender == other.gender,
            ProfileField::Language => one.language == other.language,
            ProfileField::BrandId => one.brand_id == other.brand_id,
            ProfileField::Metrics => one.metrics == other.metrics,
            ProfileField::Metadata => one.metadata == other.metadata,
            ProfileField::TierId => one.tier == other.tier,
        }
    }
}

/// What is another afterwards, by their names: what may be empty, then the rest.
pub fn differences(before: &Customer, after: &Customer) -> Vec<&'static str> {
    let optional = ProfileField::ALL.iter().map(|field| (field.name(), !field.is_equal(before, after)));
    let rest = [
        ("status", before.status != after.status),
        ("notify_email", before.notify_email != after.notify_email),
        ("notify_phone", before.notify_phone != after.notify_phone),
        ("source_version", before.source_version != after.source_version),
        ("incomplete", before.incomplete != after.incomplete),
        ("cards", before.cards != after.cards),
    ];
    optional.chain(rest).filter_map(|(field, differs)| differs.then_some(field)).collect()
}
