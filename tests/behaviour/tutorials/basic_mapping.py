# %%
import htrun as htmap

def double(x):
    return 2 * x

# %%
mapped = htmap.map(double, range(10))
print(mapped)
doubled = list(mapped)
print(doubled)

# %%
print(mapped.is_transient)

# %%
another_map = htmap.map(double, range(10), tag = 'dbl')
print(another_map)
print(another_map.is_transient)

# %%
mapped.retag('a-new-tag')
print(mapped)
print(mapped.is_transient)

# %%
stringified = htmap.map(str, range(10), tag = 'str')
print(stringified.status())

# %%
stringified.wait(show_progress_bar = True)

# %%
print(list(stringified))

for d in stringified:
    print(d)

# %%
new_ref = htmap.load('str')

print(new_ref)
print(new_ref == stringified)
print(new_ref is stringified) # maps are singletons

# %%
print(htmap.get_tags())

# %%
htmap.map(str, range(5)) # new transient map
print(htmap.status())

# %%
print(new_ref.component_statuses)

# %% raises-exception
new_map = htmap.map(double, range(10), tag = 'dbl')

# %%
old_map = htmap.load('dbl')
old_map.remove()

# %%
new_map = htmap.map(double, range(10), tag = 'dbl')
new_map.wait(show_progress_bar = True)
print(list(new_map))

# %%
def power(base, exponent):
    return base ** exponent

with htmap.build_map(power) as pow_builder:
    for base in range(1, 5): # bases are 1, 2, 3, 4
        for exponent in range(1, 4): # exponents are 1, 2, 3
            pow_builder(base, exponent)

powered = pow_builder.map
print(list(powered)) # 1^1, 1^2, 1^3, 2^1, 2^2, 2^3, 3^1 ...
