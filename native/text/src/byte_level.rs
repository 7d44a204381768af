//! The characters that byte-level vocabularies write bytes with: printable bytes are themselves, the others stand from
//! U+0100 on.

fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// The character of each byte.
pub fn characters() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        if is_printable(byte as u8) {
            return byte as u8 as char;
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or('\u{fffd}')
    })
}

/// What a token's characters stand for; None where one stands for no byte.
pub fn to_bytes(token: &str) -> Option<Vec<u8>> {
    let byte_of = |c: char| match c as u32 {
        code @ 0..=0xff if is_printable(code as u8) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121) as u8 + 0x7f),
        0x143 => Some(0xad),
        _ => None,
    };
    token.chars().map(byte_of).collect()
}
