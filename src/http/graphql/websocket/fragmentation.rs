//! Fragments long WebSocket frames before tungstenite reads them.
//!
//! In the flow: between the upgraded connection and tungstenite 0.29, which allocates the whole announced length of a
//! frame at once, so a header of 14 bytes would cost megabytes. With fragments, memory holds only the bytes received.
//! Without extensions, an intermediary may change the fragmentation of a message (RFC 6455, section 5.4).
//!
//! **Invariant:** no frame over [`FRAGMENT`] bytes and no message over the limit is passed on.
//! **Invariant:** payload bytes and their mask are passed on unchanged.
//! **Invariant:** no frame is passed on before the rate allows it; see [`FrameRate`].

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::frame_rate::FrameRate;

/// Maximum payload of a fragment, in bytes. A multiple of 4, so that each fragment starts at the first byte of the mask.
pub(super) const FRAGMENT: u16 = 4 << 10;

/// Maximum frame header, in bytes: 2, an extended length of 8, and a mask of 4.
const LONGEST_HEADER: usize = 14;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const OPCODE: u8 = 0x0F;
/// Values of the 7-bit length that announce an extended length.
const LENGTH_IN_2_BYTES: u8 = 126;
const LENGTH_IN_8_BYTES: u8 = 127;

/// The first opcode of control frames, which must not be fragmented.
const FIRST_CONTROL: u8 = 0x8;
const CONTINUATION: u8 = 0x0;

/// A connection that fragments the frames it reads.
#[derive(Debug)]
pub(super) struct Fragmented<S> {
    stream: S,
    /// Maximum message length, in bytes.
    limit: usize,
    /// Bytes read and not yet passed on, from `at`. Empty between frames, so an idle socket holds no buffer.
    ahead: Vec<u8>,
    at: usize,
    /// The header that is being read or passed on.
    header: Header,
    /// Remaining bytes of the fragment.
    fragment: usize,
    /// Remaining bytes of the frame after the fragment.
    frame: u64,
    /// First byte and mask of the frame, for the headers of its fragments.
    first: u8,
    mask: Option<[u8; 4]>,
    /// Announced length of the message so far.
    message: u64,
    /// Whether it exceeds the limit. Then no more bytes are passed on.
    is_too_long: bool,
    /// `None` for no limit.
    rate: Option<FrameRate>,
}

/// A frame header.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; LONGEST_HEADER],
    length: usize,
    /// Number of bytes passed on; `None` while the header is being read.
    passed: Option<usize>,
}

impl Header {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// How long the header is in all, as far as its first bytes tell.
    fn whole(&self) -> usize {
        let (Some(&second), true) = (self.bytes.get(1), self.length >= 2) else {
            return 2;
        };
        let length = match second & !MASKED {
            LENGTH_IN_2_BYTES => 2,
            LENGTH_IN_8_BYTES => 8,
            _ => 0,
        };
        2 + length + if second & MASKED == 0 { 0 } else { 4 }
    }

    /// Returns the length of the payload.
    fn payload(&self) -> u64 {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        match self.bytes[1] & !MASKED {
            LENGTH_IN_2_BYTES => number(&self.bytes[2..4]),
            LENGTH_IN_8_BYTES => number(&self.bytes[2..10]),
            length => length.into(),
        }
    }

    fn mask(&self) -> Option<[u8; 4]> {
        let mask = self.bytes[..self.length].last_chunk()?;
        (self.bytes[1] & MASKED != 0).then_some(*mask)
    }

    /// Encodes the header of a data frame.
    fn new(first: u8, length: u16, mask: Option<[u8; 4]>) -> Self {
        let mut header = Self::default();
        let masked = if mask.is_some() { MASKED } else { 0 };
        match u8::try_from(length) {
            Ok(length) if length < LENGTH_IN_2_BYTES => header.push(&[first, masked | length]),
            _ => {
                header.push(&[first, masked | LENGTH_IN_2_BYTES]);
                header.push(&length.to_be_bytes());
            }
        }
        if let Some(mask) = mask {
            header.push(&mask);
        }
        header
    }
}

impl<S> Fragmented<S> {
    /// Fragments the frames of `stream`, and refuses messages over `limit` bytes.
    pub fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            limit,
            ahead: Vec::new(),
            at: 0,
            header: Header::default(),
            fragment: 0,
            frame: 0,
            first: 0,
            mask: None,
            message: 0,
            is_too_long: false,
            rate: None,
        }
    }

    /// Changes the maximum message length.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Limits the frames read per second from now on. 0 for no limit.
    pub fn set_rate(&mut self, frames_per_second: u32) {
        self.rate = FrameRate::new(frames_per_second);
    }

    fn may_read_frame(&self) -> bool {
        let rate = self.rate.as_ref();
        rate.is_none_or(|rate| rate.is_due(Instant::now()))
    }

    /// Passes on available bytes, up to the room, and returns whether there were any.
    fn pass(&mut self, room: &mut ReadBuf<'_>) -> bool {
        let before = room.filled().len();
        while room.remaining() > 0 && !self.is_too_long {
            if let Some(passed) = self.header.passed {
                let rest = &self.header.bytes[passed..self.header.length];
                let count = rest.len().min(room.remaining());
                room.put_slice(&rest[..count]);
                self.header.passed = Some(passed + count);
                if passed + count == self.header.length {
                    self.header = Header::default();
                }
            } else if self.fragment == 0 && self.frame > 0 {
                self.begin_fragment(CONTINUATION);
            } else {
                let ahead = &self.ahead[self.at..];
                if ahead.is_empty() {
                    break;
                }
                if self.fragment > 0 {
                    let count = ahead.len().min(self.fragment).min(room.remaining());
                    room.put_slice(&ahead[..count]);
                    self.fragment -= count;
                    self.at += count;
                } else if self.header.length == 0 && !self.may_read_frame() {
                    break;
                } else {
                    let count = ahead.len().min(self.header.whole() - self.header.length);
                    self.header.push(&ahead[..count]);
                    self.at += count;
                    if self.header.length == self.header.whole() {
                        self.begin_frame();
                    }
                }
            }
        }
        room.filled().len() > before
    }

    /// Processes a complete frame header.
    fn begin_frame(&mut self) {
        let (first, length) = (self.header.bytes[0], self.header.payload());
        if let Some(rate) = &mut self.rate {
            rate.count(length, Instant::now());
        }
        if first & OPCODE >= FIRST_CONTROL {
            // tungstenite refuses a control frame that is too long before it allocates.
            self.header.passed = Some(0);
            self.fragment = usize::try_from(length).unwrap_or(usize::MAX);
            return;
        }
        if first & OPCODE != CONTINUATION {
            self.message = 0;
        }
        self.message = self.message.saturating_add(length);
        if usize::try_from(self.message).map_or(true, |length| length > self.limit) {
            self.is_too_long = true;
            return;
        }
        (self.first, self.mask, self.frame) = (first, self.header.mask(), length);
        self.begin_fragment(first & OPCODE);
    }

    /// Starts the next fragment of the frame.
    fn begin_fragment(&mut self, opcode: u8) {
        let length = u16::try_from(self.frame).map_or(FRAGMENT, |rest| rest.min(FRAGMENT));
        self.fragment = length.into();
        self.frame -= u64::from(length);
        // Reserved bits stay on the first fragment, where tungstenite refuses them.
        let reserved = if opcode == CONTINUATION && self.first & OPCODE != CONTINUATION {
            0
        } else {
            self.first & !(FIN | OPCODE)
        };
        let fin = if self.frame == 0 { self.first & FIN } else { 0 };
        self.header = Header::new(fin | reserved | opcode, length, self.mask);
        self.header.passed = Some(0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fragmented<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.pass(room) && room.remaining() > 0 {
            if this.is_too_long {
                return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
            }
            if this.at < this.ahead.len() {
                if let Some(rate) = &mut this.rate {
                    ready!(rate.poll_due(cx));
                }
                continue;
            }
            let mut bytes = [0; FRAGMENT as usize];
            let mut read = ReadBuf::new(&mut bytes);
            // Frees the buffer, so that an idle socket holds none.
            (this.ahead, this.at) = (Vec::new(), 0);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.ahead.extend_from_slice(read.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fragmented<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{
            Error, Message,
            protocol::{Role, WebSocketConfig},
        },
    };

    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// Encodes a frame of a client.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = match payload.len() {
            length @ 0..=125 => vec![first, MASKED | u8::try_from(length).unwrap()],
            length @ 126..=0xFFFF => {
                let length = u16::try_from(length).unwrap().to_be_bytes();
                [&[first, MASKED | LENGTH_IN_2_BYTES][..], &length].concat()
            }
            length => [
                &[first, MASKED | LENGTH_IN_8_BYTES][..],
                &length.to_be_bytes(),
            ]
            .concat(),
        };
        frame.extend(MASK);
        let masked = payload.iter().zip(MASK.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// Returns the bytes passed on, read in pieces of `size`.
    async fn passed(sent: &[u8], limit: usize, size: usize) -> io::Result<Vec<u8>> {
        let mut stream = Fragmented::new(sent, limit);
        let (mut all, mut piece) = (Vec::new(), vec![0; size]);
        loop {
            match stream.read(&mut piece).await? {
                0 => return Ok(all),
                read => all.extend_from_slice(&piece[..read]),
            }
        }
    }

    #[tokio::test]
    async fn empty_frames_of_one_message_count_against_the_rate() {
        let first = frame(0x01, b"a");
        let empty = frame(CONTINUATION, b"");
        for (what, sent) in [
            (
                "continuations",
                [first.clone(), empty.repeat(1_000)].concat(),
            ),
            ("pings", frame(0x89, b"").repeat(1_000)),
        ] {
            let mut stream = Fragmented::new(&*sent, 1_000);
            stream.set_rate(5);
            let (mut read, mut piece) = (0, [0; 64]);
            while let Some(count) = stream.read(&mut piece).now_or_never() {
                read += count.unwrap();
            }
            let burst = (51 * empty.len()..=53 * empty.len()).contains(&read);
            assert!(burst, "{what}: {read} bytes were read at once");
        }
    }

    /// Decodes frames: first byte and unmasked payload.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let mut header = Header::default();
            header.push(&bytes[..2]);
            let whole = header.whole();
            header.push(&bytes[2..whole]);
            let (payload, rest) = bytes[whole..].split_at(header.payload().try_into().unwrap());
            let mask = header.mask().unwrap();
            let unmasked = payload.iter().zip(mask.iter().cycle());
            frames.push((bytes[0], unmasked.map(|(byte, mask)| byte ^ mask).collect()));
            bytes = rest;
        }
        frames
    }

    #[tokio::test]
    async fn a_long_frame_is_fragmented_and_a_short_one_unchanged() {
        let long: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let sent = [frame(0x81, b"a"), frame(0x81, &long), frame(0x89, b"ping")].concat();
        let out = frames(&passed(&sent, 20_000, 1_000).await.unwrap());
        let heads: Vec<_> = out
            .iter()
            .map(|(first, payload)| (*first, payload.len()))
            .collect();
        let expected = [
            (0x81, 1),
            (0x01, 4096),
            (0x00, 4096),
            (0x80, 1808),
            (0x89, 4),
        ];
        assert_eq!(heads, expected);
        assert_eq!(out[1..4].concat_payloads(), long);
    }

    trait Payloads {
        fn concat_payloads(&self) -> Vec<u8>;
    }

    impl Payloads for [(u8, Vec<u8>)] {
        fn concat_payloads(&self) -> Vec<u8> {
            self.iter()
                .flat_map(|(_, payload)| payload.clone())
                .collect()
        }
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused_by_its_announced_length() {
        let too_long = |result: io::Result<_>| {
            let error: io::Error = result.map(|_: Vec<u8>| ()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        };
        // The header suffices.
        too_long(passed(&frame(0x81, &[0; 11])[..6], 10, 100).await);
        let announced = [
            &[0x82, MASKED | LENGTH_IN_8_BYTES, 0, 0, 0, 0, 0x7F, 0, 0, 0][..],
            &MASK,
        ]
        .concat();
        too_long(passed(&announced, 2 << 20, 100).await);
        // Earlier frames are passed on first.
        let mut stream = Fragmented::new(&*announced, 2 << 20);
        stream.ahead = frame(0x81, b"a");
        assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 7);
        too_long(stream.read(&mut [0; 100]).await.map(|_| Vec::new()));
        let parts = [
            frame(0x01, &[0; 6]),
            frame(0x89, &[0; 100]),
            frame(0x80, &[0; 5]),
        ]
        .concat();
        too_long(passed(&parts, 10, 100).await);
        let next = [
            frame(0x01, &[0; 6]),
            frame(0x80, &[0; 4]),
            frame(0x81, &[0; 10]),
        ]
        .concat();
        assert_eq!(passed(&next, 10, 100).await.unwrap(), next);
    }

    #[tokio::test]
    async fn long_messages_are_read_through_tungstenite() {
        let (client, server) = duplex(64);
        let config = WebSocketConfig::default()
            .read_buffer_size(1 << 10)
            .max_frame_size(Some(FRAGMENT.into()))
            .max_message_size(Some(2 << 20));
        let stream = Fragmented::new(server, 2 << 20);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let mut client = client;
        let reading = tokio::spawn(async move {
            let mut said = Vec::new();
            while let Some(Ok(Message::Text(text))) = socket.next().await {
                said.push(text.len());
            }
            said
        });
        client
            .write_all(&frame(0x81, &vec![b'x'; 1 << 20]))
            .await
            .unwrap();
        client
            .write_all(&frame(0x81, "é".repeat(5_001).as_bytes()))
            .await
            .unwrap();
        drop(client);
        assert_eq!(reading.await.unwrap(), [1 << 20, 10_002]);
    }

    #[tokio::test]
    async fn tungstenite_refuses_a_control_frame_over_its_limit() {
        let announced = [
            &[0x89, MASKED | LENGTH_IN_8_BYTES, 0, 0, 0, 0, 0, 0x10, 0, 0][..],
            &MASK,
        ]
        .concat();
        let (mut client, server) = duplex(64);
        client.write_all(&announced).await.unwrap();
        let config = WebSocketConfig::default().max_frame_size(Some(FRAGMENT.into()));
        let stream = Fragmented::new(server, 2 << 20);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let refused = socket.next().await.unwrap();
        assert!(matches!(refused, Err(Error::Capacity(_))), "{refused:?}");
    }

    proptest! {
        #[test]
        fn payloads_are_unchanged_for_any_fragmentation(
            lengths in prop::collection::vec(0..20_000_usize, 1..5), size in 1..9_000_usize, parts in 1..4_usize,
        ) {
            let (mut sent, mut payloads) = (Vec::new(), Vec::new());
            for (n, length) in lengths.iter().enumerate() {
                let payload = vec![u8::try_from(n).unwrap(); *length];
                let pieces: Vec<_> = payload.chunks(length.div_ceil(parts).max(1)).collect();
                let last = pieces.len().saturating_sub(1);
                for (at, piece) in pieces.into_iter().enumerate() {
                    let fin = if at == last { FIN } else { 0 };
                    sent.extend(frame(fin | if at == 0 { 0x2 } else { 0 }, piece));
                    sent.extend(frame(0x8A, b"pong"));
                }
                payloads.extend(payload);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let out = frames(&runtime.block_on(passed(&sent, 20_000, size)).unwrap());
            prop_assert!(out.iter().all(|(_, payload)| payload.len() <= usize::from(FRAGMENT)));
            let data: Vec<_> = out.into_iter().filter(|(first, _)| first & OPCODE < FIRST_CONTROL).collect();
            prop_assert_eq!(data.concat_payloads(), payloads);
        }
    }
}
