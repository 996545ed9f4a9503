//! The wire format of Protocol Buffers as a tree, so that mutations keep a file readable.

use crate::random::Random;

/// A field's value.
#[derive(Clone, Debug)]
pub enum Value {
    Number(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub number: u64,
    pub value: Value,
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

/// The fields of a message; None if the bytes are no message.
pub fn read(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => Value::Eight(chunk(&mut bytes)?),
            5 => Value::Four(chunk(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = bytes.split_off(..length)?;
                // Text can parse as a message, but a message of several fields is hardly ever text.
                match read(inner) {
                    Some(fields) if !fields.is_empty() && !inner.iter().all(u8::is_ascii_graphic) => {
                        Value::Message(fields)
                    }
                    _ => Value::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        if tag >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: tag >> 3, value });
    }
    Some(fields)
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value } in fields {
        let mut tag = |kind| put_varint(number << 3 | kind, &mut out);
        match value {
            Value::Number(number) => {
                tag(0);
                put_varint(*number, &mut out);
            }
            Value::Eight(bytes) => {
                tag(1);
                out.extend(bytes);
            }
            Value::Four(bytes) => {
                tag(5);
                out.extend(bytes);
            }
            Value::Bytes(bytes) => {
                tag(2);
                put_varint(bytes.len() as u64, &mut out);
                out.extend(bytes);
            }
            Value::Message(fields) => {
                tag(2);
                let inner = write(fields);
                put_varint(inner.len() as u64, &mut out);
                out.extend(inner);
            }
        }
    }
    out
}

/// A random list of fields within these.
pub fn somewhere<'a>(random: &mut Random, fields: &'a mut Vec<Field>) -> &'a mut Vec<Field> {
    let inner: Vec<usize> = (0..fields.len()).filter(|n| matches!(fields[*n].value, Value::Message(_))).collect();
    if inner.is_empty() || random.once_in(4) {
        return fields;
    }
    match &mut fields[*random.pick(&inner)].value {
        Value::Message(fields) => somewhere(random, fields),
        _ => unreachable!("only messages are picked"),
    }
}
