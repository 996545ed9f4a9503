//! `Reshape` of a tensor that depends on the picture: distributes the dimensions' factors, in order, to the new
//! dimensions.

use std::collections::VecDeque;

use super::picture::{Atom, Dim, Picture};
use super::sizes::{Affine, Sizes, Stop, global};

/// Reshapes the tensor to dimensions of these lengths; `None` is inferred.
pub(super) fn reshape(picture: &Picture, target: &[Option<Affine>], sizes: &Sizes) -> Result<Picture, Stop> {
    let mut atoms: VecDeque<Atom> = picture.dims.iter().flat_map(|dim| dim.atoms().iter().copied()).collect();
    let (front, open, back) = match target.iter().position(Option::is_none) {
        Some(at) => (&target[..at], true, &target[at + 1..]),
        None => (target, false, &target[target.len()..]),
    };
    let known = |len: &Option<Affine>| len.map_or_else(|| global("a shape that cannot be followed"), Ok);
    let mut dims = Vec::with_capacity(target.len());
    for len in front {
        dims.push(take_front(&mut atoms, known(len)?, sizes)?);
    }
    let mut behind = Vec::with_capacity(back.len());
    for len in back.iter().rev() {
        behind.push(take_back(&mut atoms, known(len)?, sizes)?);
    }
    if open {
        dims.push(Dim::new(atoms)?);
    } else if !atoms.is_empty() {
        return mismatch();
    }
    dims.extend(behind.into_iter().rev());
    Picture::new(dims)
}

fn mismatch<T>() -> Result<T, Stop> {
    global("a shape that mixes the picture's rows or columns with other dimensions")
}

/// Takes the outermost factors whose product is `len`, splitting the last one if necessary.
fn take_front(atoms: &mut VecDeque<Atom>, mut len: Affine, sizes: &Sizes) -> Result<Dim, Stop> {
    let mut taken = Vec::new();
    while len != Affine::ONE {
        let atom = atoms.pop_front();
        let atom_len = length(atom)?;
        // Take the whole factor, or only its outer part.
        if let Some(rest) = quotient(len, atom_len) {
            taken.extend(atom);
            len = rest;
        } else {
            let Some(inner) = atom_len.whole_ratio(len) else { return mismatch() };
            taken.push(match atom {
                Some(Atom::Along(span)) => Atom::Along(span.grouped(inner, sizes)?),
                _ => Atom::Plain(count(len)?),
            });
            atoms.push_front(Atom::Plain(inner));
            len = Affine::ONE;
        }
    }
    Dim::new(taken)
}

/// Takes the innermost factors whose product is `len`, splitting the first one if necessary.
fn take_back(atoms: &mut VecDeque<Atom>, mut len: Affine, sizes: &Sizes) -> Result<Dim, Stop> {
    let mut taken = Vec::new();
    while len != Affine::ONE {
        let atom = atoms.pop_back();
        if let Some(rest) = quotient(len, length(atom)?) {
            taken.extend(atom);
            len = rest;
        } else {
            let inner = count(len)?;
            atoms.push_back(match atom {
                Some(Atom::Along(span)) => Atom::Along(span.grouped(inner, sizes)?),
                Some(Atom::Plain(whole)) if whole % inner == 0 => Atom::Plain(whole / inner),
                _ => return mismatch(),
            });
            taken.push(Atom::Plain(inner));
            len = Affine::ONE;
        }
    }
    taken.reverse();
    Dim::new(taken)
}

fn length(atom: Option<Atom>) -> Result<Affine, Stop> {
    match atom {
        Some(Atom::Plain(len)) => Ok(Affine::whole(len)),
        Some(Atom::Along(span)) => Ok(span.len),
        None => mismatch(),
    }
}

/// The remaining length of a dimension of `len` after taking all of `atom`; `None` if `atom` does not fit.
fn quotient(len: Affine, atom: Affine) -> Option<Affine> {
    let rest = len.over(atom)?;
    // The length must be an integer for all sizes.
    let whole = rest.is_whole();
    let fits = rest.as_constant().is_none_or(|rest| rest >= num_rational::Ratio::from_integer(1));
    (whole && fits).then_some(rest)
}

/// A length that does not depend on the picture.
fn count(len: Affine) -> Result<u64, Stop> {
    match len.as_whole().and_then(|len| u64::try_from(len).ok()).filter(|&len| len > 0) {
        Some(len) => Ok(len),
        None => mismatch(),
    }
}
