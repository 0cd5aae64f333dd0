//! The parameters of a submit, from its flags.

use serde_json::{Map, Value};

use crate::args::ParameterFlags;
use crate::failure::Failure;

/// The text of the object; empty for none.
pub async fn read(flags: &ParameterFlags) -> Result<String, Failure> {
    let given = match flags.parameters.as_deref() {
        None => String::new(),
        Some(text) => match text.strip_prefix('@') {
            None => text.to_owned(),
            Some(path) => {
                let file = |source| Failure::File { path: path.into(), source };
                tokio::fs::read_to_string(path).await.map_err(file)?
            }
        },
    };
    if flags.single.is_empty() {
        // As it is: the server says what is wrong with it.
        return Ok(given);
    }
    let mut object: Map<String, Value> = match given.is_empty() {
        true => Map::new(),
        false => serde_json::from_str(&given).map_err(Failure::Parameters)?,
    };
    object.extend(flags.single.iter().cloned());
    Ok(serde_json::to_string(&object)?)
}
