//! Detects the encoding of a file and decodes it: by the byte order mark, else UTF-16 with many zero bytes, else UTF-8,
//! else Windows-1252, in which any bytes are valid.
//!
//! **Invariant:** a guessed encoding is reported, so that the user can explain wrong characters.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A decoded text.
pub(super) struct Decoded {
    pub text: String,
    /// A remark to report about the encoding, if it was guessed.
    pub guess: Option<String>,
}

/// Decodes a file.
///
/// # Errors
/// When the text is not valid in the encoding that its byte order mark names.
pub(super) fn decode(bytes: &[u8]) -> anyhow::Result<Decoded> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        let text = encoding
            .decode_without_bom_handling_and_without_replacement(&bytes[mark..])
            .ok_or_else(|| {
                anyhow::anyhow!("it begins as {} but is not valid in it", encoding.name())
            })?;
        return Ok(Decoded {
            text: text.into_owned(),
            guess: None,
        });
    }
    // Checked first, because ASCII text in UTF-16 is also valid UTF-8, with a NUL byte per character.
    let encoding = match utf_16_without_mark(bytes) {
        Some(encoding) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => UTF_8,
        None => WINDOWS_1252,
    };
    if encoding == WINDOWS_1252 {
        refuse_broken_utf_8(bytes)?;
    }
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    let guess = (encoding != UTF_8).then(|| {
        format!(
            "the file is not UTF-8; it was read as {}. If letters are wrong, save it as UTF-8",
            encoding.name()
        )
    });
    Ok(Decoded {
        text: text.into_owned(),
        guess,
    })
}

/// Refuses a text that is UTF-8 except for a few bytes. As Windows-1252, all of its non-ASCII characters would be
/// wrong.
fn refuse_broken_utf_8(bytes: &[u8]) -> anyhow::Result<()> {
    let (mut sound, mut broken, mut first) = (0, 0, None);
    for chunk in bytes.utf8_chunks() {
        sound += chunk
            .valid()
            .chars()
            .filter(|letter| !letter.is_ascii())
            .count();
        if !chunk.invalid().is_empty() {
            broken += 1;
            let at = chunk.valid().as_ptr().addr() + chunk.valid().len() - bytes.as_ptr().addr();
            first.get_or_insert(at);
        }
    }
    let lines = |at: usize| bytes[..at].split(|byte| *byte == b'\n').count();
    anyhow::ensure!(
        sound <= broken,
        "line {}: it is not valid UTF-8, as the rest of the file is",
        first.map_or(1, lines)
    );
    Ok(())
}

/// Detects UTF-16 of Western text without a byte order mark: many zero bytes, all at even or all at odd offsets.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let beginning = &bytes[..bytes.len().min(512)];
    let zeros = |offset: usize| {
        let every_second = beginning.iter().skip(offset).step_by(2);
        every_second.filter(|byte| **byte == 0).count()
    };
    let many = beginning.len() * 2 / 5;
    match (zeros(0), zeros(1)) {
        (even, odd) if even > many && odd == 0 => Some(UTF_16BE),
        (even, odd) if odd > many && even == 0 => Some(UTF_16LE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_the_encodings_that_programs_write() {
        let text = "title,url\nCafé, 📚 \u{201c}Two\u{201d}\n";
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        let (le, be) = (utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes));
        for (bytes, is_guess) in [
            (text.as_bytes().to_vec(), false),
            ([b"\xef\xbb\xbf", text.as_bytes()].concat(), false),
            ([b"\xff\xfe", &le[..]].concat(), false),
            ([b"\xfe\xff", &be[..]].concat(), false),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(
                (decoded.text.as_str(), decoded.guess.is_some()),
                (text, is_guess)
            );
        }
        let western = "title,url\nCafe,u\n";
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = western.encode_utf16().flat_map(bytes).collect();
            let decoded = decode(&bytes).unwrap();
            assert_eq!(
                (decoded.text.as_str(), decoded.guess.is_some()),
                (western, true)
            );
        }
        let decoded = decode(b"Caf\xe9 \x93Two\x94").unwrap();
        assert_eq!(decoded.text, "Café \u{201c}Two\u{201d}");
        assert!(decoded.guess.unwrap().contains("windows-1252"));
    }

    #[test]
    fn a_text_that_breaks_its_encoding_is_refused() {
        assert!(decode(b"\xef\xbb\xbf\xff").is_err());
        assert!(decode(b"\xff\xfe\x00\xd8\x00\x00").is_err());
        let error = decode(
            "é\nè\nü"
                .as_bytes()
                .iter()
                .copied()
                .chain(*b"\n\xff")
                .collect::<Vec<_>>()
                .as_slice(),
        );
        assert!(error.err().unwrap().to_string().starts_with("line 4:"));
    }
}
