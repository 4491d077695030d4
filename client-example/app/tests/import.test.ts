import { describe, expect, test } from "vitest";
import { guess, mapped } from "../src/import/mapping.ts";
import { decode, readTable } from "../src/import/table.ts";

const imported = (text: string) => {
  const table = readTable(text);
  return mapped(table, guess(table.columns));
};

describe("a table", () => {
  test("has quoted cells, with separators, quotes and lines in them, and the lines of an editor", () => {
    const { columns, rows } = readTable('a,"b ""c"""\r\n"1,\n2",3\r\n\r\n4,"5"\r\n');
    expect(columns).toEqual(["a", 'b "c"']);
    expect(rows).toEqual([
      { line: 2, cells: ["1,\n2", "3"] },
      { line: 5, cells: ["4", "5"] },
    ]);
  });

  test.each([
    "title;url\nA;x",
    "title\turl\nA\tx",
    "sep=;\ntitle;url\nA;x",
    "title,url\nA,x",
    "title,url\rA,x",
  ])("has the separator that its first line shows: %j", (text) => {
    const { columns, rows } = readTable(text);
    expect([columns, rows.map(({ cells }) => cells)]).toEqual([["title", "url"], [["A", "x"]]]);
  });

  test("whose quote is never closed is refused with the line of the quote", () => {
    expect(() => readTable('title\nA\n"B\nC')).toThrow("line 3");
  });

  test("can be JSON", () => {
    const { columns, rows } = readTable('[{"title":"A","tags":["x","y"]},{"url":null,"title":"B"}]');
    expect(columns).toEqual(["title", "tags", "url"]);
    expect(rows.map(({ cells }) => cells)).toEqual([
      ["A", "x, y", ""],
      ["B", "", ""],
    ]);
    expect(() => readTable("[1,")).toThrow("JSON");
    expect(() => readTable("")).toThrow("empty");
  });

  test.each<[string, number[]]>([
    ["UTF-8 with a mark", [0xef, 0xbb, 0xbf, 0xc3, 0xa9]],
    ["UTF-16", [0xff, 0xfe, 0xe9, 0x00]],
    ["UTF-16, big end first", [0xfe, 0xff, 0x00, 0xe9]],
    ["Windows-1252", [0xe9]],
  ])("is decoded from %s", (_, bytes) => {
    expect(decode(new Uint8Array(bytes))).toBe("é");
  });
});

describe("an entry", () => {
  test("comes from the columns of Goodreads", () => {
    const header = "Book Id,Title,Author,ISBN13,My Rating,Exclusive Shelf,Bookshelves,My Review";
    const [row] = imported(
      `${header}\n1,Emma,Jane Austen,"=""9780141439587""",4,currently-reading,"classics, to-own",Slow.`,
    );
    expect(row).toEqual({
      line: 2,
      leftOut: [],
      entry: {
        title: "Emma",
        url: "urn:isbn:9780141439587",
        author: "Jane Austen",
        rating: 4,
        readingStatus: "READING",
        tags: ["classics", "to-own"],
        notes: "Slow.",
      },
    });
  });

  test("keeps an address, and gets a stable one where there is none", () => {
    const rows = imported("Title,Author,Link\nA Wizard,Ursula,\nB,,https://b.example/1");
    expect(rows.map((row) => "entry" in row && row.entry.url)).toEqual([
      "urn:x-library-sync:book:ursula:a%20wizard",
      "https://b.example/1",
    ]);
  });

  test("is skipped without a title, or with an invalid address", () => {
    const rows = imported("Title,URL\n,https://b.example/1\nB,b.example\nC,javascript:alert(1)");
    expect(rows.map((row) => "problem" in row && [row.line, row.problem])).toEqual([
      [2, "no title"],
      [3, '"b.example" is not an address'],
      [4, '"javascript:alert(1)" is not an address'],
    ]);
  });

  test.each<[string, string, unknown]>([
    ["Rating", "4,5", 4.5],
    ["Rating", "4/5", 4],
    ["Rating", "8/10", 4],
    ["Rating", "★★★★", 4],
    ["Rating", "0", undefined],
    ["Chapters", "12/?", 12],
    ["Words", "12,345", 12_345],
    ["Words", "3.0", 3],
    ["Read Status", "did-not-finish", "DROPPED"],
    ["Read Status", "Plan to read", "PLAN_TO_READ"],
    ["Status", "In-Progress", "ONGOING"],
    ["Status", "HIATUS", "HIATUS"],
  ])("reads %s %s", (column, cell, value) => {
    const [row] = imported(`Title;${column}\nA;${cell}`);
    expect(row && "entry" in row && [Object.values(row.entry)[2], row.leftOut]).toEqual([value, []]);
  });

  test("without a value that is none of its field says so", () => {
    const [row] = imported("Title;Rating;Read Status\nA;great;someday");
    expect(row).toMatchObject({
      entry: { title: "A" },
      leftOut: ['Read Status "someday"', 'Rating "great"'],
    });
  });
});

test("a field is guessed for one column, and a column without a known name is left out", () => {
  expect(guess(["Title", "Name", "Price", "Completed", "Status"])).toEqual([
    "title",
    null,
    null,
    null,
    "publicationStatus",
  ]);
});
