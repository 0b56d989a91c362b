package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
)

// CheckState finds what keeps two segments from living in one process: init functions, and package-level variables that are changed,
// whose address is taken, or whose type is made to be changed. What it cannot see, such as a change through a copied map, it does not report.
func CheckState(packages []Package) []string {
	var faults []string
	for _, p := range packages {
		c := stateCheck{Package: p, vars: packageVars(p)}
		for _, f := range p.Files {
			ast.Inspect(f.ast, c.visit)
		}
		faults = append(faults, c.faults...)
	}
	return faults
}

// packageVars are the names of the package-level variables. Their ValueSpec is what tells them from a local of the same name.
func packageVars(p Package) map[string]*ast.ValueSpec {
	vars := map[string]*ast.ValueSpec{}
	for _, f := range p.Files {
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				spec := s.(*ast.ValueSpec)
				for _, n := range spec.Names {
					vars[n.Name] = spec
				}
			}
		}
	}
	delete(vars, "_")
	return vars
}

type stateCheck struct {
	Package
	vars   map[string]*ast.ValueSpec
	faults []string
}

func (c *stateCheck) fault(at token.Pos, format string, args ...any) {
	pos := c.fset.Position(at)
	c.faults = append(c.faults, fmt.Sprintf("package %s, line %d of %s: %s", c.Path, pos.Line, base(pos.Filename), fmt.Sprintf(format, args...)))
}

func (c *stateCheck) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			c.fault(n.Pos(), "func init")
		}
	case *ast.ValueSpec:
		if name := changing(n); name != "" && c.vars[n.Names[0].Name] == n {
			c.fault(n.Pos(), "package-level variable %s is a %s", n.Names[0].Name, name)
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			break
		}
		for _, e := range n.Lhs {
			c.changed(e, "is assigned to")
		}
	case *ast.IncDecStmt:
		c.changed(n.X, "is assigned to")
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			c.changed(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
			c.changed(n.Args[0], "has entries removed")
		}
	}
	return true
}

// changed reports e when it is, or is a part of, a package-level variable.
func (c *stateCheck) changed(e ast.Expr, how string) {
	id := root(e)
	if id == nil {
		return
	}
	spec, ok := c.vars[id.Name]
	if !ok {
		return
	}
	// The parser resolves names within a file: a local has an object that was declared elsewhere.
	if id.Obj != nil && id.Obj.Decl != spec {
		return
	}
	c.fault(e.Pos(), "package-level variable %s %s", id.Name, how)
}

// root is the variable that e is a part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// changing names the type of a declared variable when such variables exist only to be changed: locks, atomics, channels.
func changing(v *ast.ValueSpec) string {
	switch t := v.Type.(type) {
	case *ast.ChanType:
		return "channel"
	case *ast.SelectorExpr:
		p, ok := t.X.(*ast.Ident)
		if ok && (p.Name == "atomic" || p.Name == "sync") {
			return p.Name + "." + t.Sel.Name
		}
	}
	return ""
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
