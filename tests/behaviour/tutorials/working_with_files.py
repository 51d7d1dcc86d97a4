# %%
from pathlib import Path

def read_file(path: Path):
    return path.read_text()

# %%
hi_path = Path.cwd() / 'hi.txt'
print(hi_path)
hi_path.write_text('Hello world!')

# %%
print(read_file(hi_path))

# %%
import htrun as htmap

bye_path = htmap.TransferPath.cwd() / 'bye.txt'
bye_path.write_text('Have a nice day!')

# %%
map = htmap.map(read_file, [bye_path])
print(map.get(0)) # map.get will wait until the result is ready

# %%
def cat(files):
    file_contents = (file.read_text() for file in files)
    return ''.join(file_contents)

# %%
cwd = htmap.TransferPath.cwd()
paths = [
    cwd / 'start.txt',
    cwd / 'middle.txt',
    cwd / 'end.txt',
]
parts = [
    'The quick brown ',
    'fox jumps over ',
    'the lazy dog!',
]
for path, part in zip(paths, parts):
    path.write_text(part)

# %%
m = htmap.map(cat, [paths]) # this creates a single map component with the list of paths as the argument
print(m.get(0))
