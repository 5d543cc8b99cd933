//! A browser plays a video, and goes to another place in it, which it has not loaded yet.
//!
//! The browser encodes the pictures itself (WebCodecs); they are put into a WebM file here, with an
//! index, and with so much padding between them that no browser loads it all in advance.

use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt};

use fantoccini::{Client, error::CmdError};
use serde::Deserialize;
use serde_json::Value;
use tower_gateway::StaticFiles;

use super::{
    browser::chromedriver,
    files::{Files, Seen, write},
};

/// Of the video, in seconds: a picture each half, red first and blue in the second half.
const LENGTH: usize = 120;

/// Behind each second. It is a hole in the file, and takes no place on the disk.
const PADDING: usize = 2 << 20;

/// Encodes the pictures, and gives the bytes of each in hexadecimal digits.
const ENCODE: &str = "
    const [seconds, done] = arguments;
    const pictures = [];
    const encoder = new VideoEncoder({
        output: chunk => {
            const bytes = new Uint8Array(chunk.byteLength);
            chunk.copyTo(bytes);
            const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
            pictures.push({ at: chunk.timestamp / 1000, key: chunk.type === 'key', hex });
        },
        error: error => done({ error: String(error) }),
    });
    encoder.configure({ codec: 'vp8', width: 160, height: 120, bitrate: 200_000 });
    const canvas = new OffscreenCanvas(160, 120);
    const context = canvas.getContext('2d');
    for (let half = 0; half < seconds * 2; half++) {
        context.fillStyle = half < seconds ? 'red' : 'blue';
        context.fillRect(0, 0, 160, 120);
        const frame = new VideoFrame(canvas, { timestamp: half * 500_000, duration: 500_000 });
        encoder.encode(frame, { keyFrame: half % 2 === 0 });
        frame.close();
    }
    encoder.flush().then(() => done({ pictures }), error => done({ error: String(error) }));
";

/// Plays until some of it has been seen.
const PLAY: &str = "
    const [done] = arguments;
    const video = document.querySelector('video');
    const fail = () => done({ error: String(video.error && video.error.message) });
    video.addEventListener('error', fail);
    video.addEventListener('timeupdate', () => {
        if (video.currentTime > 0.5) {
            video.pause();
            done(state(video));
        }
    });
    video.play().catch(error => done({ error: String(error) }));
";

/// Goes to another place, and waits for its picture.
const SEEK: &str = "
    const [time, done] = arguments;
    const video = document.querySelector('video');
    video.addEventListener('seeked', () => done(state(video)), { once: true });
    video.currentTime = time;
";

/// What the two give; the page has it.
const PAGE: &str = "<!doctype html>
<title>A video</title>
<video src=clip.webm preload=metadata muted width=160 height=120></video>
<script>
function state(video) {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    return { time: video.currentTime, duration: video.duration, red, green, blue };
}
</script>
";

#[derive(Deserialize)]
struct Picture {
    /// In milliseconds.
    at: f64,
    key: bool,
    hex: String,
}

/// What the page sees of the video.
#[derive(Debug, Deserialize)]
struct State {
    time: f64,
    duration: f64,
    red: u8,
    blue: u8,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_plays_a_video_and_seeks_in_it() {
    let Some(driver) = chromedriver("a video in a browser") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("index.html"), PAGE.as_bytes());
    let files = Files::serve(StaticFiles::new(root.path())).await;
    let browser = driver.browser().await;
    let outcome = watch(&browser, &files, &root).await;
    browser.close().await.unwrap();
    outcome.unwrap();
}

async fn watch(browser: &Client, files: &Files, root: &tempfile::TempDir) -> Result<(), CmdError> {
    // A page of this host is a secure context, which WebCodecs asks for.
    browser.goto(&files.url("/")).await?;
    let encoded = browser.execute_async(ENCODE, vec![LENGTH.into()]).await?;
    assert!(encoded["error"].is_null(), "{}", encoded["error"]);
    let pictures: Vec<Picture> = serde_json::from_value(encoded["pictures"].clone()).unwrap();
    let path = root.path().join("clip.webm");
    write(&path, b"");
    let length = webm(&pictures, &File::options().write(true).open(path).unwrap());

    browser.goto(&files.url("/")).await?;
    let played = state(browser.execute_async(PLAY, Vec::new()).await?);
    assert!(played.time > 0.5, "{played:?}");
    assert!((played.duration - LENGTH as f64).abs() < 1.0, "{played:?}");
    assert!(played.red > 200 && played.blue < 50, "{played:?}");
    let before = files.seen("/clip.webm").len();

    let far = LENGTH as f64 * 0.9;
    let sought = state(browser.execute_async(SEEK, vec![far.into()]).await?);
    assert!((sought.time - far).abs() < 0.5, "{sought:?}");
    assert!(sought.blue > 200 && sought.red < 50, "{sought:?}");
    let seen = files.seen("/clip.webm");
    let is_far = |seen: &Seen| {
        let first = seen.range().and_then(|range| range.strip_prefix("bytes="));
        let first = first.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
        seen.status == 206 && first.is_some_and(|first| first > length / 2)
    };
    assert!(seen[before..].iter().any(is_far), "{seen:#?}");

    // And back, to what it has seen.
    let back = state(browser.execute_async(SEEK, vec![1.0.into()]).await?);
    assert!((back.time - 1.0).abs() < 0.5, "{back:?}");
    assert!(back.red > 200 && back.blue < 50, "{back:?}");
    Ok(())
}

fn state(value: Value) -> State {
    let said = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|_| panic!("the page says {said}"))
}

/// Writes a WebM file of these pictures, and gives its length.
///
/// The identifiers are those of RFC 9559 (Matroska) and RFC 8794 (EBML).
fn webm(pictures: &[Picture], file: &File) -> u64 {
    let header = element(
        0x1A45_DFA3,
        &[
            number(0x4286, 1),
            number(0x42F7, 1),
            number(0x42F2, 4),
            number(0x42F3, 8),
            element(0x4282, &[b"webm".to_vec()]),
            number(0x4287, 2),
            number(0x4285, 2),
        ],
    );
    let info = element(
        0x1549_A966,
        &[
            // A tick is a millisecond.
            number(0x2AD7B1, 1_000_000),
            element(0x4489, &[(LENGTH as f64 * 1000.0).to_be_bytes().to_vec()]),
            element(0x4D80, &[b"test".to_vec()]),
            element(0x5741, &[b"test".to_vec()]),
        ],
    );
    let track = element(
        0xAE,
        &[
            number(0xD7, 1),
            number(0x73C5, 1),
            number(0x83, 1),
            element(0x86, &[b"V_VP8".to_vec()]),
            element(0xE0, &[number(0xB0, 160), number(0xBA, 120)]),
        ],
    );
    let tracks = element(0x1654_AE6B, &[track]);

    let mut seconds: BTreeMap<u64, Vec<&Picture>> = BTreeMap::new();
    for picture in pictures {
        seconds
            .entry(picture.at as u64 / 1000)
            .or_default()
            .push(picture);
    }
    let clusters: Vec<_> = seconds
        .iter()
        .map(|(second, pictures)| cluster(*second, pictures))
        .collect();
    let void = [vec![0xEC], size(PADDING)].concat();
    let behind = void.len() + PADDING;

    // Positions count from the beginning of the segment's data; the index has one length,
    // whatever they are.
    let index = |first: usize| {
        let mut at = first;
        let points = seconds.keys().zip(&clusters).map(|(second, cluster)| {
            let position = element(0xB7, &[number(0xF7, 1), number(0xF1, at as u64)]);
            at += cluster.len() + behind;
            element(0xBB, &[number(0xB3, second * 1000), position])
        });
        element(0x1C53_BB6B, &points.collect::<Vec<_>>())
    };
    let first = info.len() + tracks.len() + index(0).len();
    let length = first
        + clusters
            .iter()
            .map(|cluster| cluster.len() + behind)
            .sum::<usize>();
    let segment = [vec![0x18, 0x53, 0x80, 0x67], size(length)].concat();
    let head = [header, segment, info, tracks, index(first)].concat();

    let mut at = head.len() as u64;
    file.write_all_at(&head, 0).unwrap();
    for cluster in clusters {
        file.write_all_at(&[&cluster[..], &void].concat(), at)
            .unwrap();
        at += (cluster.len() + behind) as u64;
    }
    file.set_len(at).unwrap();
    at
}

/// The pictures of one second.
fn cluster(second: u64, pictures: &[&Picture]) -> Vec<u8> {
    let mut parts = vec![number(0xE7, second * 1000)];
    for picture in pictures {
        let after = (picture.at as u64 - second * 1000) as i16;
        let flags = if picture.key { 0x80 } else { 0 };
        let mut block = vec![0x81];
        block.extend(after.to_be_bytes());
        block.push(flags);
        let digits = picture.hex.as_bytes().chunks(2);
        block.extend(
            digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()),
        );
        parts.push(element(0xA3, &[block]));
    }
    element(0x1F43_B675, &parts)
}

fn element(id: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let id = id.to_be_bytes();
    let id = id.iter().copied().skip_while(|byte| *byte == 0);
    id.chain(size(content.len())).chain(content).collect()
}

/// Always in eight bytes, so that no length depends on a value.
fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &[value.to_be_bytes().to_vec()])
}

/// Always in eight bytes as well.
fn size(length: usize) -> Vec<u8> {
    (length as u64 | 1 << 56).to_be_bytes().to_vec()
}
