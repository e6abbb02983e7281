"""What a disk may hold after the power went, from the journal that powerloss.c keeps of a running twind.

A strict reading of POSIX: contents are durable once their file was synced, a name once the folder that holds it was.
Of what was not synced a disk keeps whatever it likes: nothing, everything, what came first, any selection of the writes
and of the changed names, or single sectors of a write. Sectors are never torn, and renames are atomic.

Disk keeps a shadow of every file in memory: what is durable, and the changes since. After a kill of the process

    disk.kill()        brings the files to where the process left them; what was not synced may still be lost later
    disk.power_loss()  lets the disk choose, and makes the files that; -shm files are gone

Only files that the last process opened are looked at, so that a crash costs milliseconds, however large the state is.
"""
import os
import pathlib
import re
import struct

HEADER = struct.Struct("<IIQqII")
SECTOR = 512
WAYS = ("nothing", "everything", "prefix", "some", "sectors", "names", "contents", "mixed")


class File:
    def __init__(self, path):
        self.path = path  # where it was opened or renamed to last
        self.durable = bytearray()
        self.pending = []  # (order, kind, offset, data)

    def content(self):
        """With everything that was done to it."""
        content = bytearray(self.durable)
        for _, kind, offset, data in self.pending:
            change(content, kind, offset, data)
        return content


class Folder:
    def __init__(self):
        self.durable, self.names = {}, {}  # name -> File or Folder: on the disk, and as the process sees it

    path = ""


def change(content, kind, offset, data):
    """One write, truncation or allocation, done to a bytearray."""
    size = offset + len(data)
    if kind == "t":
        del content[size:]
    if size > len(content):
        content.extend(bytes(size - len(content)))
    if kind == "w":
        content[offset:size] = data


class NameChange:
    """What one call does to names: [(folder, name, node or None)], all of it or nothing."""

    def __init__(self, order, effects):
        self.order, self.effects = order, effects

    def touches(self, folder):
        return any(f is folder for f, _, _ in self.effects)


class Choice:
    """What one crash leaves of the changes that were not synced. Each kind of loss that people have met has its own
    way of choosing; a crash follows one way, or another for every file."""

    def __init__(self, random, way, orders):
        self.random, self.way = random, way
        self.cut = random.choice(orders) if orders else 0
        self.share = random.choice([0.2, 0.5, 0.8])

    def of_file(self):
        return self.random.choice(WAYS[:5]) if self.way == "mixed" else self.way

    def keeps(self, way, order):
        if way in ("some", "sectors"):
            return self.random.random() < self.share
        return way in ("everything", "contents") or (way == "prefix" and order <= self.cut)

    def keeps_name(self, order):
        return self.way == "names" or (self.way != "contents" and self.keeps(self.of_file(), order))


class Disk:
    """root: a folder that exists; what lies in it belongs to the process that runs with `environment`.
    lies: pattern of files (folders end in a slash) whose syncs the disk forgets, to show what that does."""

    def __init__(self, root, shim, random, lies=None):
        self.root = os.path.realpath(root)
        self.journal = self.root + ".journal"
        self.environment = {"LD_PRELOAD": shim, "TWIN_POWER_ROOT": self.root, "TWIN_POWER_JOURNAL": self.journal}
        self.random, self.lies = random, re.compile(lies) if lies else None
        self.top = Folder()
        self.changes = []  # of names, pending
        self.open = {}  # inode -> File, of the process that runs
        self.opened = set()  # Files that it opened
        self.placed = {}  # path -> node, as the files were made last
        self.order = 0
        self.figures = {"kills": 0, "power_losses": 0, "lost_writes": 0, "lost_names": 0, "syncs": 0,
                        "ways": dict.fromkeys(WAYS, 0)}

    def load(self):
        """What lies under the root now is on the disk."""
        for folder, folders, files in os.walk(self.root):
            inside = os.path.relpath(folder, self.root)
            parent = self.lookup("" if inside == "." else inside)
            for name in folders:
                parent.names[name] = Folder()
            for name in files:
                parent.names[name] = File(os.path.normpath(os.path.join(inside, name)))
                parent.names[name].durable[:] = pathlib.Path(folder, name).read_bytes()
            parent.durable = dict(parent.names)
        self.placed = dict(self.tree(self.top))

    # --- the journal ---

    def lookup(self, path):
        node = self.top
        for part in filter(None, path.split("/")):
            node = node.names.get(part) if isinstance(node, Folder) else None
        return node

    def parent(self, path):
        folder, _, name = path.rpartition("/")
        return self.lookup(folder), name

    def rename(self, *effects):
        for folder, name, node in effects:
            if node is None:
                folder.names.pop(name, None)
            else:
                folder.names[name] = node
        self.changes.append(NameChange(self.order, list(effects)))

    def read_journal(self):
        """Takes in what the process did. The record that it was writing when it was killed may be torn."""
        path = pathlib.Path(self.journal)
        records = path.read_bytes() if path.exists() else b""
        at = 0
        while at + HEADER.size <= len(records):
            size, kind, inode, offset, path_size, data_size = HEADER.unpack_from(records, at)
            if at + size > len(records):
                break
            data = records[at + HEADER.size + path_size:at + size]
            name = records[at + HEADER.size:at + HEADER.size + path_size].decode()
            self.order += 1
            self.record(chr(kind), inode, offset, name, data)
            at += size
        if path.exists():
            os.truncate(path, 0)

    def record(self, kind, inode, offset, path, data):
        if kind == "o":
            folder, name = self.parent(path)
            if name not in folder.names:
                self.rename((folder, name, File(path)))
            self.open[inode] = folder.names[name]
            self.open[inode].path = path
            self.opened.add(self.open[inode])
        elif kind in "wta":
            if inode in self.open:
                self.open[inode].pending.append((self.order, kind, offset, data))
        elif kind == "s":
            if inode in self.open:
                self.sync_file(self.open[inode])
        elif kind == "d":
            self.sync_folder(self.lookup(path), path)
        elif kind == "m":
            self.rename((*self.parent(path), Folder()))
        elif kind in "ux":
            self.rename((*self.parent(path), None))
        elif kind == "r":
            node = self.lookup(path)
            node.path = data.decode()
            self.rename((*self.parent(path), None), (*self.parent(node.path), node))
        elif kind == "l":
            self.rename((*self.parent(data.decode()), self.lookup(path)))

    def forgets(self, path):
        return self.lies is not None and self.lies.search(path)

    def sync_file(self, file):
        self.figures["syncs"] += 1
        if not self.forgets(file.path):
            for _, kind, offset, data in file.pending:
                change(file.durable, kind, offset, data)
            file.pending.clear()

    def sync_folder(self, folder, path):
        """A move between folders is durable with the folder it left; with the other alone the file has two names."""
        self.figures["syncs"] += 1
        if not isinstance(folder, Folder) or self.forgets(path + "/"):
            return
        left = []
        for change_of in self.changes:
            if not change_of.touches(folder):
                left.append(change_of)
            elif change_of.effects[0][0] is folder:
                self.keep_names(change_of.effects)
            else:
                self.keep_names([e for e in change_of.effects if e[0] is folder])
                left.append(change_of)
        self.changes = left

    @staticmethod
    def keep_names(effects):
        for folder, name, node in effects:
            if node is None:
                folder.durable.pop(name, None)
            else:
                folder.durable[name] = node

    # --- after the process has died ---

    def kill(self):
        """The process is gone, the machine goes on."""
        self.read_journal()
        self.figures["kills"] += 1
        self.place()

    def power_loss(self, way=None):
        self.read_journal()
        self.figures["power_losses"] += 1
        way = way or self.random.choice(WAYS)
        self.figures["ways"][way] += 1
        files = list(self.files(self.top, set()))
        orders = sorted([p[0] for f in files for p in f.pending] + [c.order for c in self.changes])
        choice = Choice(self.random, way, orders)
        for file in files:
            self.lose_contents(file, choice)
        for change_of in self.changes:
            if choice.keeps_name(change_of.order):
                self.keep_names(change_of.effects)
            else:
                self.figures["lost_names"] += 1
        self.changes = []
        self.forget_names(self.top)
        for path in pathlib.Path(self.root).rglob("*-shm"):
            path.unlink()
        self.place()

    def files(self, folder, seen):
        """Every file that has a name, on the disk or in the process's eyes."""
        for node in [*folder.durable.values(), *folder.names.values()]:
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, Folder):
                yield from self.files(node, seen)
            else:
                yield node

    def lose_contents(self, file, choice):
        if not file.pending:
            return
        self.opened.add(file)
        way = choice.of_file()
        for order, kind, offset, data in file.pending:
            if way == "sectors" and kind == "w":
                self.keep_sectors(file.durable, offset, data, choice)
            elif choice.keeps(way, order):
                change(file.durable, kind, offset, data)
            else:
                self.figures["lost_writes"] += 1
        file.pending.clear()

    def keep_sectors(self, content, offset, data, choice):
        lost, at = False, 0
        while at < len(data):
            end = min(len(data), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
            if self.random.random() < choice.share:
                change(content, "w", offset + at, data[at:end])
            else:
                lost = True
            at = end
        self.figures["lost_writes"] += lost

    def forget_names(self, folder):
        """What the machine sees when it is up again is what is on the disk."""
        folder.names = dict(folder.durable)
        for node in folder.names.values():
            if isinstance(node, Folder):
                self.forget_names(node)

    # --- the files ---

    def tree(self, folder, prefix=""):
        for name, node in folder.names.items():
            yield prefix + name, node
            if isinstance(node, Folder):
                yield from self.tree(node, prefix + name + "/")

    def place(self):
        """Makes the files under the root what the shadow says. A change that died with the process before it was
        recorded is undone with it."""
        wanted = dict(self.tree(self.top))
        for folder, folders, files in os.walk(self.root, topdown=False):
            inside = os.path.relpath(folder, self.root)
            for name in files + folders:
                path = os.path.normpath(os.path.join(inside, name))
                node = wanted.get(path)
                if name in files and not isinstance(node, File) and not name.endswith("-shm"):
                    os.unlink(os.path.join(folder, name))
                elif name in folders and not isinstance(node, Folder):
                    if not os.listdir(os.path.join(folder, name)):
                        os.rmdir(os.path.join(folder, name))
        for path, node in wanted.items():
            whole = os.path.join(self.root, path)
            if isinstance(node, Folder):
                os.makedirs(whole, 0o700, exist_ok=True)
            elif node in self.opened or self.placed.get(path) is not node or not os.path.exists(whole):
                content = node.content()
                if not os.path.exists(whole) or pathlib.Path(whole).read_bytes() != content:
                    pathlib.Path(whole).write_bytes(content)
        self.placed = wanted
        self.open.clear()
        self.opened.clear()

    def differences(self):
        """Files that are not what the journal says: a call that changes files and that the shim doesn't know. For a
        process that has ended by itself."""
        self.read_journal()
        wanted = {path: node for path, node in self.tree(self.top) if isinstance(node, File)}
        there = {os.path.relpath(p, self.root): p for p in pathlib.Path(self.root).rglob("*")
                 if p.is_file() and not p.name.endswith("-shm")}
        return sorted(path for path in {*wanted, *there}
                      if path not in wanted or path not in there or there[path].read_bytes() != wanted[path].content())
