# %%
import htrun as htmap

def power(x, p = 1):
    return x ** p

# %%
starmap = htmap.starmap(
    func = power,
    args = [
        (1,),
        (2,),
        (3,),
    ],
    kwargs = [
        {'p': 1},
        {'p': 2},
        {'p': 3},
    ],
)

print(list(starmap)) # [1, 4, 27]

# %%
starmap = htmap.starmap(
    func = power,
    args = ((x,) for x in range(1, 4)),
    kwargs = ({'p': p} for p in range(1, 4)),
)

print(list(starmap)) # [1, 4, 27]

# %%
@htmap.mapped
def double(x):
    return 2 * x

print(double)

# %%
doubled = double.map(range(10))

print(list(doubled)) # [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]

# %%
@htmap.mapped(
    map_options = htmap.MapOptions(
        request_memory = '200MB',
        request_disk = '1GB',
    )
)
def big_list(_):
    big = list(range(1_000_000)) # imagine this is way bigger...
    return big

# %%
class Penguin:
    def __init__(self, name, height, weight):
        self.name = name
        self.height = height
        self.weight = weight

    def analyze(self):
        return f'{self.name} is {self.height} inches tall and weighs {self.weight} pounds'

    def eat(self):
        print('mmm, yummy fish')

    def fly(self):
        raise TypeError("penguins can't fly!")

# %%
penguins = [
    Penguin('Gwendolin', height = 73, weight = 51),
    Penguin('Gweniffer', height = 59, weight = 43),
    Penguin('Gary', height = 64, weight = 52),
]

# %%
map = htmap.map(
    lambda p: p.analyze(), # an anonymous function; see https://docs.python.org/3/tutorial/controlflow.html#lambda-expressions
    penguins,
    tag = 'penguin-stats',
)

map.wait(show_progress_bar = True)

# %%
for stats in map:
    print(stats)
