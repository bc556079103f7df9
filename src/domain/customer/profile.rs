//! What a customer's profile consists of, field by field: senders clear fields by their names, and merchants require them.

use serde::{Deserialize, Serialize};

use crate::domain::values::words::words;

words! {
    /// The fields that may be empty.
    ProfileField {
        ExternalId "external_id",
        Phone "phone",
        Email "email",
        FirstName "first_name",
        LastName "last_name",
        Name "name",
        BirthDate "birth_date",
        RegisteredOn "registered_on",
        Gender "gender",
        Language "language",
        BrandId "brand_id",
        Metrics "metrics",
        Metadata "metadata",
        TierId "tier_id",
    }
}

words! {
    Gender {
        Male "male",
        Female "female",
        Other "other",
        Unspecified "unspecified",
    }
}

/// A decimal number without a float: value / 10^scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    pub value: i64,
    pub scale: i32,
}
