# %%
def double(x):
    return 2 * x

# %%
doubled = [double(x) for x in range(10)]
print(doubled)

# %%
mapped = map(double, range(10))
print(mapped)
doubled = list(mapped)
print(doubled)

# %%
import htrun as htmap

mapped = htmap.map(double, range(10))
print(mapped)
doubled = list(mapped)
print(doubled)
