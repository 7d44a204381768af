//! `strftime` in the C locale for a moment that the caller gives.

/// A moment without a zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Moment {
    /// Reads `2026-03-05T14:07:09`.
    pub fn parse(text: &str) -> Option<Moment> {
        let (date, time) = text.split_once('T')?;
        let numbers = |text: &str, mark: char| -> Option<Vec<u32>> {
            text.split(mark).map(|part| part.parse().ok()).collect()
        };
        let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
        let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else {
            return None;
        };
        let moment = Moment { year: i64::from(year), month, day, hour, minute, second };
        let is_valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of(moment.year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 61;
        is_valid.then_some(moment)
    }

    /// The first of January is 1.
    fn day_of_year(&self) -> u32 {
        (1..self.month).map(|month| days_of(self.year, month)).sum::<u32>() + self.day
    }

    /// Sunday is 0.
    fn weekday(&self) -> u32 {
        let before = self.year - 1;
        let days =
            before * 365 + before / 4 - before / 100 + before / 400 + i64::from(self.day_of_year());
        (days % 7) as u32
    }

    /// The year and the number of the week by ISO 8601.
    fn iso_week(&self) -> (i64, u32) {
        let weekday = (self.weekday() + 6) % 7;
        let thursday = self.day_of_year() as i64 - i64::from(weekday) + 3;
        let length = |year| if is_leap(year) { 366 } else { 365 };
        if thursday < 1 {
            let year = self.year - 1;
            return (year, ((thursday + length(year) - 1) / 7 + 1) as u32);
        }
        if thursday > length(self.year) {
            return (self.year + 1, 1);
        }
        (self.year, ((thursday - 1) / 7 + 1) as u32)
    }

    pub fn format(&self, pattern: &str) -> String {
        let mut text = String::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut letter = rest.next();
            let is_bare = letter == Some('-');
            if is_bare {
                letter = rest.next();
            }
            match letter {
                Some(letter) => self.write(&mut text, letter, is_bare),
                None => text.push('%'),
            }
        }
        text
    }

    fn write(&self, text: &mut String, letter: char, is_bare: bool) {
        let mut number = |value: i64, width: usize| {
            let width = if is_bare { 1 } else { width };
            text.push_str(&format!("{value:0width$}"));
        };
        let weekday = self.weekday();
        let hour12 = if self.hour % 12 == 0 { 12 } else { self.hour % 12 };
        match letter {
            'Y' => number(self.year, 4),
            'y' => number(self.year % 100, 2),
            'C' => number(self.year / 100, 2),
            'm' => number(self.month.into(), 2),
            'd' => number(self.day.into(), 2),
            'H' => number(self.hour.into(), 2),
            'I' => number(hour12.into(), 2),
            'M' => number(self.minute.into(), 2),
            'S' => number(self.second.into(), 2),
            'f' => number(0, 6),
            'j' => number(self.day_of_year().into(), 3),
            'w' => number(weekday.into(), 1),
            'u' => number(if weekday == 0 { 7 } else { weekday.into() }, 1),
            'U' => number(((self.day_of_year() + 6 - weekday) / 7).into(), 2),
            'W' => number(((self.day_of_year() + 6 - (weekday + 6) % 7) / 7).into(), 2),
            'V' => number(self.iso_week().1.into(), 2),
            'G' => number(self.iso_week().0, 4),
            'g' => number(self.iso_week().0 % 100, 2),
            'e' if is_bare => text.push_str(&self.day.to_string()),
            'e' => text.push_str(&format!("{:2}", self.day)),
            'A' => text.push_str(DAYS[weekday as usize]),
            'a' => text.push_str(&DAYS[weekday as usize][..3]),
            'B' => text.push_str(MONTHS[self.month as usize - 1]),
            'b' | 'h' => text.push_str(&MONTHS[self.month as usize - 1][..3]),
            'p' => text.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'c' => text.push_str(&self.format("%a %b %e %H:%M:%S %Y")),
            'x' | 'D' => text.push_str(&self.format("%m/%d/%y")),
            'X' | 'T' => text.push_str(&self.format("%H:%M:%S")),
            'F' => text.push_str(&self.format("%Y-%m-%d")),
            'R' => text.push_str(&self.format("%H:%M")),
            'r' => text.push_str(&self.format("%I:%M:%S %p")),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'Z' | 'z' => {}
            '%' => text.push('%'),
            other => {
                text.push('%');
                text.push(other);
            }
        }
    }
}
