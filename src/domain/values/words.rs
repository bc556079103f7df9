//! Closed lists of words: each has a name for people and records, and a number for the database.

/// An enum without fields, with its names and its numbers. A number that has been released is never reused.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            pub const ALL: [$name; [$($word),*].len()] = [$($name::$variant),*];

            /// The number that stands for it in the database.
            pub fn code(self) -> i16 {
                match self {
                    $($name::$variant => $code,)*
                }
            }

            pub fn from_code(code: i16) -> Option<$name> {
                Self::ALL.into_iter().find(|word| word.code() == code)
            }

            /// The word in commands, records and settings.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }
        }
    };
}

pub(in crate::domain) use words;
