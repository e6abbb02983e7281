"""What a terminal shows: a screen that knows the sequences which twinctl writes, and is strict about all others."""
import re

SEQUENCE = re.compile(r"\033\[(\?)?([0-9;]*)([A-Za-z])")
COLOURS = {"0", "1", "32", "33", "1;31"}


class Screen:
    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.modes = {"1049": False, "25": True, "7": True}  # another screen; a cursor; long lines are wrapped
        self.main = ""          # what was written outside of the other screen
        self.pending = b""
        self.cleared = self.entered = 0
        self.waiting = False    # for the first picture of a new size
        self.drawn = 2          # pictures since the size changed: the first may still be one of the old size
        self.painted = set()    # colours that were used
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.colour = [[""] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0
        self.paint = ""

    def resize(self, rows, columns):
        """What comes until all is drawn again is still of the old size; so may be that picture, if it was under way."""
        self.rows, self.columns = rows, columns
        self.clear()
        self.waiting, self.drawn = True, 0

    def lines(self):
        return ["".join(line).rstrip() for line in self.cells]

    def text(self):
        return "\n".join(self.lines())

    def find(self, start):
        """The first line that begins with a text, and its row."""
        for row, line in enumerate(self.lines()):
            if line.startswith(start):
                return line, row
        raise AssertionError(f"no line begins with {start!r}:\n{self.text()}")

    def feed(self, data):
        data = self.pending + data
        if self.waiting:
            before, clear, after = data.rpartition(b"\033[2J")
            self.pending = b"" if clear else data
            if not clear:
                return
            self.waiting, data = False, clear + after
        try:
            text, self.pending = data.decode(), b""
        except UnicodeDecodeError as error:
            assert len(data) - error.start < 4, f"not UTF-8: {data!r}"
            text, self.pending = data[:error.start].decode(), data[error.start:]
        at = 0
        while at < len(text):
            if text[at] != "\033":
                self.put(text[at])
                at += 1
                continue
            sequence = SEQUENCE.match(text, at)
            if not sequence:
                assert len(text) - at < 16, f"an unknown sequence: {text[at:at + 20]!r}"
                self.pending = text[at:].encode() + self.pending
                return
            self.control(*sequence.groups())
            at = sequence.end()

    def put(self, character):
        if not self.modes["1049"]:
            self.main += character
            return
        assert character.isprintable(), f"a control character: {character!r}"
        if self.row >= self.rows or self.column >= self.columns:
            return self.drop(repr(character))
        self.cells[self.row][self.column] = character
        self.colour[self.row][self.column] = self.paint
        self.column += 1

    def drop(self, what):
        """Outside of the screen may be what was under way when the size changed; another picture must come."""
        assert self.drawn == 1, f"{what} is outside of the screen"
        self.waiting = True

    def control(self, private, numbers, letter):
        if private:
            assert letter in "hl" and numbers in self.modes, f"mode {numbers}{letter}"
            self.modes[numbers] = letter == "h"
            if numbers == "1049":
                self.entered += letter == "h"
                self.clear()
        elif letter == "m":
            assert numbers in COLOURS, f"colour {numbers}"
            self.paint = "" if numbers == "0" else numbers
            self.painted.add(self.paint)
        elif letter == "H":
            row, column = map(int, numbers.split(";"))
            self.row, self.column = row - 1, column - 1
        elif letter == "J" and numbers == "2":
            self.clear()
            self.cleared += 1
            self.waiting, self.drawn = False, self.drawn + 1
        elif letter == "K" and not numbers:
            if self.row >= self.rows:
                return self.drop("the end of a line")
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
            self.colour[self.row][self.column:] = [""] * (self.columns - self.column)
        else:
            raise AssertionError(f"an unknown sequence: {numbers}{letter}")

    def restored(self):
        return self.modes == {"1049": False, "25": True, "7": True}
