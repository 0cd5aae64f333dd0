//! Files and network by Landlock: what was not opened before and is not named cannot be opened.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::{Layers, Purpose};

/// The newest rules we know; older kernels enforce what they can.
const NEWEST: ABI = ABI::V6;

pub(super) fn hide(purpose: &Purpose, layers: &mut Layers) -> Result<(), RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let rules = match purpose {
        Purpose::Compute => rules,
        Purpose::Become { execute, read } => {
            let rules = allow(rules, execute, AccessFs::Execute | AccessFs::ReadFile)?;
            allow(rules, read, AccessFs::ReadFile | AccessFs::ReadDir)?
        }
    };
    let status = rules.restrict_self()?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            layers.off("landlock", "not enabled in this kernel")
        }
        (RulesetStatus::NotEnforced, _) => layers.off("landlock", "not in this kernel"),
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            layers.on(format!("landlock abi {}", effective_abi as i32));
        }
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => layers.on("landlock"),
    }
    Ok(())
}

/// Paths that are not there cannot be opened either.
fn allow(
    mut rules: RulesetCreated,
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        let Ok(open) = PathFd::new(path) else { continue };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
        rules = rules.add_rule(PathBeneath::new(open, access))?;
    }
    Ok(rules)
}
