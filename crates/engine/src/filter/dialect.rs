//! What a filter's words mean for one sort of things.

use super::compare::Refused;
use super::lexer::{Comparator, Text};

/// The fields that filters of some sort of things know.
pub trait Dialect {
    type Field;
    /// A field, compared with a value.
    type Condition;
    /// All fields, for those who named another.
    const FIELDS: &'static str;

    /// The field of this name.
    fn field(name: &str) -> Option<Self::Field>;

    /// The condition that a comparison makes.
    fn condition(field: Self::Field, comparator: Comparator, value: Text) -> Result<Self::Condition, Refused>;
}
