//! `detect` and `forecast` on files, by the real binary.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

fn tidemark(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidemark")).arg("--quiet").args(arguments).output().expect("it runs")
}

fn detect(input: &Path, output: &Path, more: &[&str]) -> Output {
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    tidemark(&[&["detect", "--input", paths[0], "--output", paths[1]], more].concat())
}

/// Five days of a 5-minute metric with a daily wave, some noise and one spike.
fn wave(rows: usize) -> Vec<(String, f64)> {
    (0..rows)
        .map(|k| {
            let minute = 5 * k;
            let time =
                format!("2024-03-{:02} {:02}:{:02}:00", 1 + minute / 1440, minute / 60 % 24, minute % 60);
            let noise = (k * 7_919 % 1_009) as f64 / 1_009.0;
            let spike = if k == 1_300 { 90.0 } else { 0.0 };
            (time, 50.0 + 20.0 * (k as f64 * std::f64::consts::TAU / 288.0).sin() + noise + spike)
        })
        .collect()
}

fn csv(rows: &[(String, f64)]) -> String {
    let mut text = "timestamp,value\n".to_owned();
    rows.iter().for_each(|(time, value)| text += &format!("{time},{value}\n"));
    text
}

fn unpack(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn lines(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn a_spike_is_found_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    fs::write(&input, csv(&wave(1_440))).unwrap();
    let ran = detect(&input, &output, &[]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = lines(&output);
    assert_eq!(rows[0].join(","), "timestamp,anomaly_score,is_anomaly,alert,expected,lower,upper");
    assert_eq!(rows.len(), 1_441);
    assert_eq!(rows[1], ["2024-03-01 00:00:00", "0.0", "0", "0", "", "", ""], "it learns");
    assert_eq!(rows[1_301][2..4], ["1", "1"], "{:?}", rows[1_301]);
    let alerts = rows[1..].iter().filter(|row| row[3] == "1").count();
    assert!(alerts <= 2, "{alerts} alerts");
}

#[test]
fn a_row_is_judged_from_what_came_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows = wave(1_400);
    let (short, whole) = (folder.path().join("short.csv"), folder.path().join("whole.csv"));
    fs::write(&short, csv(&rows[..1_302])).unwrap();
    fs::write(&whole, csv(&rows)).unwrap();
    let judged = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
    assert!(detect(&short, &judged[0], &[]).status.success());
    assert!(detect(&whole, &judged[1], &["--threads", "1"]).status.success());
    let [short, whole] = judged.map(|path| fs::read_to_string(path).unwrap());
    assert!(whole.starts_with(&short));
}

#[test]
fn one_row_for_each_row_whatever_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    let mut text = "\u{feff}host, Value ,label,TIMESTAMP\n".to_owned();
    for (k, (time, value)) in wave(400).iter().enumerate() {
        match k {
            300 => text += &format!("a,,1,{time}\n"),
            301 => text += &format!("a,{value},0,{time}\na,1e9,0,{time}\n"),
            302 => text += "a,5,0,soon\n",
            303 => text += &format!("a,{value},0,2024-01-01 00:00:00\n"),
            304 => text += &format!("a,nan,0,{time}\n"),
            305 => text += &format!("a,{value},0,\"{} {}\"\n", &time[..10], &time[11..]),
            _ => text += &format!("a,{value},{},{time},more\n", k % 2),
        }
    }
    fs::write(&input, text).unwrap();
    assert!(detect(&input, &output, &[]).status.success());
    let rows = lines(&output);
    assert_eq!(rows.len(), 402);
    let nothing = ["0.0", "0", "0"];
    assert_eq!(rows[301][1..4], nothing, "an empty value");
    assert_eq!(rows[302][1..], rows[303][1..], "a time again");
    for (at, time) in [(304, "soon"), (305, "2024-01-01 00:00:00")] {
        assert_eq!((rows[at][0].as_str(), &rows[at][1..4]), (time, &nothing.map(String::from)[..]));
    }
    assert_eq!(rows[306][1..4], nothing, "no number");
    assert!(rows[308..].iter().all(|row| !row[4].is_empty()), "and it goes on");
}

#[test]
fn labels_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let outputs = ["0", "1"].map(|label| {
        let (input, output) = (folder.path().join("in.csv"), folder.path().join(format!("{label}.csv")));
        let rows = wave(700).iter().map(|(t, v)| format!("{t},{v},{label}\n")).collect::<String>();
        fs::write(&input, format!("timestamp,value,label\n{rows}")).unwrap();
        assert!(detect(&input, &output, &[]).status.success());
        fs::read_to_string(output).unwrap()
    });
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn a_bad_file_is_told_and_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("in/judged"));
    fs::create_dir_all(input.join("deep/er")).unwrap();
    fs::write(input.join("good.csv"), csv(&wave(200))).unwrap();
    let mut packed =
        GzEncoder::new(fs::File::create(input.join("deep/er/packed.csv.gz")).unwrap(), Compression::fast());
    packed.write_all(csv(&wave(200)).as_bytes()).unwrap();
    packed.finish().unwrap();
    fs::write(input.join("columns.csv"), "when,what\n1,2\n").unwrap();
    fs::write(input.join("broken.csv.gz"), [0x1f, 0x8b, 8, 0, 1, 2, 3]).unwrap();
    fs::write(input.join("text.csv"), "timestamp,value\nx,y\n").unwrap();
    fs::write(input.join("empty.csv"), "timestamp,value\n").unwrap();
    fs::write(input.join("notes.txt"), "not mine").unwrap();
    let ran = detect(&input, &output, &[]);
    assert_eq!(ran.status.code(), Some(1));
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    for name in
        ["columns.csv: no column `timestamp`; its columns are `when`, `what`", "broken.csv.gz", "text.csv"]
    {
        assert!(told.contains(name), "{told}");
    }
    assert_eq!(lines(&output.join("good.csv")).len(), 201);
    assert_eq!(unpack(&output.join("deep/er/packed.csv.gz")).lines().count(), 201);
    assert_eq!(lines(&output.join("empty.csv")).len(), 1);
    let left: Vec<_> = fs::read_dir(&output).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "no half-written result stays: {left:?}");
    assert_eq!(
        detect(&input, &output, &[]).status.code(),
        Some(1),
        "results in the input folder are not judged"
    );
    assert_eq!(fs::read_dir(&output).unwrap().count(), 3);
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (here, gone) = (folder.path().join("in.csv"), folder.path().join("gone"));
    fs::write(&here, csv(&wave(10))).unwrap();
    let message = |ran: Output| (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned());
    let (code, told) = message(detect(&gone, &here, &[]));
    assert!(code == Some(1) && told.contains("cannot read") && told.contains("gone"), "{told}");
    let (code, told) = message(detect(&here, &here, &[]));
    assert!(code == Some(1) && told.contains("would replace its input"), "{told}");
    let (code, told) = message(detect(folder.path(), &gone, &["--timezone", "Mars/Base"]));
    assert!(code == Some(2) && told.contains("Mars/Base"), "{told}");
}

#[test]
fn wide_rows_of_any_length_are_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    fs::write(&input, "whatever\na,1,2,3,1,2,3,1,2,3,1,2,3\nb,5\nc\nd,,4,NA,4,,\n").unwrap();
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    let ran =
        tidemark(&["forecast", "--input", paths[0], "--horizon", "3", "--season", "3", "--output", paths[1]]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = lines(&output);
    assert_eq!(rows[0].join(","), "id,yhat1,yhat2,yhat3");
    let ids: Vec<_> = rows[1..].iter().map(|row| row[0].as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    for (value, want) in rows[1][1..].iter().zip([1.0, 2.0, 3.0]) {
        assert!((value.parse::<f64>().unwrap() - want).abs() < 0.1, "{:?}", rows[1]);
    }
    assert_eq!(rows[2][1..], ["5.0", "5.0", "5.0"]);
    assert_eq!(rows[3][1..], ["0.0", "0.0", "0.0"]);
    assert_eq!(rows[4][1..], ["4.0", "4.0", "4.0"]);
}

#[test]
fn a_value_a_row_is_no_series_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    let forecast = || tidemark(&["forecast", "--input", paths[0], "--horizon", "3", "--output", paths[1]]);
    for text in [csv(&wave(100)), " Value,TIMESTAMP,label\n1,2024-03-01 00:00:00,0\n".to_owned()] {
        fs::write(&input, text).unwrap();
        let ran = forecast();
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            ran.status.code() == Some(1) && told.contains("in.csv") && told.contains("--rolling 1d"),
            "{told}"
        );
        assert!(!output.exists());
    }
    // Series a row are read under any header, whatever they are called.
    for rows in ["a,5\nb,6\n", "2024-03-01,5,6\n2024-03-02,7\n", ""] {
        fs::write(&input, format!("timestamp,value\n{rows}")).unwrap();
        assert!(forecast().status.success(), "{rows}");
    }
}

#[test]
fn rolling_forecasts_stand_beside_their_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&input).unwrap();
    fs::write(input.join("m.csv"), csv(&wave(1_440))).unwrap();
    let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
    let ran = tidemark(&["forecast", "--rolling", "1d", "--input", paths[0], "--output", paths[1]]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows = lines(&output.join("m.csv"));
    assert_eq!(rows[0].join(","), "timestamp,yhat,yhat_lower,yhat_upper");
    assert_eq!((rows.len(), rows[1][1].as_str()), (1_441, ""));
    let (said, real) = (rows[1_200][1].parse::<f64>().unwrap(), wave(1_200)[1_199].1);
    assert!((said - real).abs() < 2.0, "{said} against {real}");
    assert_eq!(tidemark(&["forecast", "--input", paths[0], "--output", paths[1]]).status.code(), Some(2));
}
