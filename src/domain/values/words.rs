//! Closed lists of words: each has a name for people, records and documents; some have a number for the database too.

/// An enum without fields, with its names. `Variant = 1 "word"` gives a number too; a number that has been released is never reused.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            pub const ALL: [$name; [$($word),*].len()] = [$($name::$variant),*];

            /// The word in commands, records and settings.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }

            pub fn from_name(name: &str) -> Option<$name> {
                Self::ALL.into_iter().find(|word| word.name() == name)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal $word:literal,)* }) => {
        words! {
            $(#[$doc])*
            $name { $($(#[$variant_doc])* $variant $word,)* }
        }

        impl $name {
            /// The number that stands for it in the database.
            pub fn code(self) -> i16 {
                match self {
                    $($name::$variant => $code,)*
                }
            }

            pub fn from_code(code: i16) -> Option<$name> {
                Self::ALL.into_iter().find(|word| word.code() == code)
            }
        }
    };
}

pub(in crate::domain) use words;
