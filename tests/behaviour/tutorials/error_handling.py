# %%
import htrun as htmap

@htmap.mapped
def foo(_): # _ is a perfectly legal argument name, often used to mean "I don't actually use it"
    return "I didn't get held!"

# %%
path = htmap.TransferPath('this-file-does-not-exist.txt')
will_get_held = foo.map(
    [path],
)

# %% raises-exception
print(will_get_held.get(0))

# %%
path.touch() # this creates an empty file

# %%
will_get_held.release()
print(will_get_held.get(0))

# %%
@htmap.mapped
def inverse(x):
    return 1 / x

# %% raises-exception
inverse(0)

# %% raises-exception
bad_map = inverse.map([0])
bad_map.get(0)

# %%
worse_map = inverse.map([0, 0, 0])
worse_map.wait(errors_ok = True) # wait for all of the components to hit the error
for report in worse_map.error_reports():
    print(report + '\n')

# %%
import sys

@htmap.mapped
def stdx(_):
    print("Hi from stdout!") # stdout is the default
    print("Hi from stderr!", file = sys.stderr)

m = stdx.map([None])

# %%
m.stdout.get(0) # get will wait for the stdout to become available, m.stdout[0] wouldn't

# %%
m.stderr.get(0)

# %%
@htmap.mapped
def err(x):
    print(f"Hi from stderr! {x}", file = sys.stderr)

err_map = err.map(range(5))
err_map.wait(show_progress_bar = True)

for e in err_map.stderr:
    print(e)
