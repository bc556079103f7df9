//! What a customer's profile consists of, field by field: senders clear fields by their names, and merchants require them.

use crate::domain::values::words::words;

words! {
    /// The fields that may be empty.
    ProfileField {
        ExternalId = 1 "external_id",
        Phone = 2 "phone",
        Email = 3 "email",
        FirstName = 4 "first_name",
        LastName = 5 "last_name",
        Name = 6 "name",
        BirthDate = 7 "birth_date",
        RegisteredOn = 8 "registered_on",
        Gender = 9 "gender",
        Language = 10 "language",
        BrandId = 11 "brand_id",
        Metrics = 12 "metrics",
        Metadata = 13 "metadata",
        TierId = 14 "tier_id",
    }
}

words! {
    Gender {
        Male = 1 "male",
        Female = 2 "female",
        Other = 3 "other",
        Unspecified = 4 "unspecified",
    }
}

/// A decimal number without a float: value / 10^scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub value: i64,
    pub scale: i32,
}
